# The plain student: Faster R-CNN, MobileNetV2-FPN, 1x schedule, no teacher.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/coco/baseline_frcnn_mv2.py
#     or: tools/dist_train.sh configs/coco/baseline_frcnn_mv2.py 8
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(1, 2, 4, 6),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')),
    neck=dict(in_channels=[24, 32, 96, 320]))
