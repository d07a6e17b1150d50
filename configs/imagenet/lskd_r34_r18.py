# LSKD, KD on standardised logits: ResNet-34 (top-1 73.62 in mmpretrain's model
#     zoo) > ResNet-18; T 2, task weight 1, KD weight 9 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/lskd_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/lskd_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=1.0,
    losses=dict(
        type='mmdeepkd.KDLoss',
        temperature=2.0,
        loss_weight=9.0,
        standardize=True))
