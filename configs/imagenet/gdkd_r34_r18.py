# GDKD: ResNet-34 (top-1 73.62 in mmpretrain's model zoo) > ResNet-18; k 5,
#     weights 0.5, 1, 1, T 1 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/gdkd_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/gdkd_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=1.0,
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(0.5, 1.0, 1.0),
        temperature=1.0))
