# The plain student: Faster R-CNN, ResNet-18-FPN, 1x schedule, no teacher.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/coco/baseline_frcnn_r18.py
#     or: tools/dist_train.sh configs/coco/baseline_frcnn_r18.py 8
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        depth=18,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]))
