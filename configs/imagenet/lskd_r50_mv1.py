# LSKD, KD on standardised logits: ResNet-50 (top-1 76.55 in mmpretrain's model
#     zoo) > MobileNetV1; T 2, task weight 0.5, KD weight 9 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/lskd_r50_mv1.py
#     or: tools/dist_train.sh configs/imagenet/lskd_r50_mv1.py 8
_base_ = [
    '../_base_/imagenet_pairs/r50_mv1.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=0.5,
    losses=dict(
        type='mmdeepkd.KDLoss',
        temperature=2.0,
        loss_weight=9.0,
        standardize=True))
