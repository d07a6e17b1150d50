# One's own data, the plain student: Faster R-CNN, ResNet-18 with ImageNet
#     weights; the matched run without teacher.
# Needs: the data that _base_/data.py names. The learning rate is for one GPU
#     x 4 images; for another batch size add --auto-scale-lr.
#     The ImageNet weights are downloaded from torchvision.
# Launch: python tools/train.py configs/custom/baseline_pretrained.py
_base_ = 'teacher_pretrained.py'

model = dict(
    backbone=dict(
        depth=18,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]))
load_from = None
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
