# DiffKD: RetinaNet, ResNet-101 (box AP 38.9 in mmdet's model zoo)
#     > ResNet-50; all FPN levels, weights 1 (our choice, unpublished).
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/diffkd_retinanet_r101_r50.py
#     or: tools/dist_train.sh configs/coco/diffkd_retinanet_r101_r50.py 8
_base_ = ['baseline_retinanet_r50.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    teacher='mmdet::retinanet/retinanet_r101_fpn_2x_coco.py',
    teacher_checkpoint=(
        'https://download.openmmlab.com/mmdetection/v2.0/retinanet/'
        'retinanet_r101_fpn_2x_coco/'
        'retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth'),
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False),
    losses=dict(type='mmdeepkd.DiffKDLoss'))
# mmdet's model zoo.
teacher_metric = dict(name='coco/bbox_mAP', value=0.389)
