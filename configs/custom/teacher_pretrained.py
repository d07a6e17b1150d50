# One's own data, a pretrained teacher: Faster R-CNN, ResNet-50 of mmdet's
#     model zoo (COCO), fine-tuned.
# Needs: the data that _base_/data.py names. The learning rate is for one GPU
#     x 4 images; for another batch size add --auto-scale-lr.
#     The COCO weights are downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/custom/teacher_pretrained.py
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py', '_base_/data.py',
    '_base_/schedule.py', 'mmdet::_base_/default_runtime.py'
]

model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(bbox_head=dict(num_classes={{_base_.num_classes}})))
# Of a head of other classes the last layer is not loaded, and is trained anew.
load_from = (
    'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
    'faster_rcnn_r50_fpn_1x_coco/'
    'faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth')
train_cfg = dict(max_epochs=12)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.005))
auto_scale_lr = dict(base_batch_size=4)
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
