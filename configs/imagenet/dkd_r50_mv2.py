# DKD: ResNet-50 (top-1 76.55 in mmpretrain's model zoo) > MobileNetV2; alpha
#     1, beta 2, T 1 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/dkd_r50_mv2.py
#     or: tools/dist_train.sh configs/imagenet/dkd_r50_mv2.py 8
_base_ = [
    '../_base_/imagenet_pairs/r50_mv2.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=1.0,
    losses=dict(type='mmdeepkd.DKDLoss', alpha=1.0, beta=2.0, temperature=1.0))
