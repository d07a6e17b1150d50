# DKD: Faster R-CNN, ResNet-101 (box AP 39.4 in mmdet's model zoo)
#     > ResNet-18; alpha 1, beta 0.25, T 1 as published.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/dkd_frcnn_r101_r18.py
#     or: tools/dist_train.sh configs/coco/dkd_frcnn_r101_r18.py 8
_base_ = ['baseline_frcnn_r18.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    teacher='mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py',
    teacher_checkpoint=(
        'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
        'faster_rcnn_r101_fpn_1x_coco/'
        'faster_rcnn_r101_fpn_1x_coco_20200130-f513f705.pth'),
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False),
    losses=dict(
        type='mmdeepkd.DKDLoss', alpha=1.0, beta=0.25, temperature=1.0))
# mmdet's model zoo.
teacher_metric = dict(name='coco/bbox_mAP', value=0.394)
