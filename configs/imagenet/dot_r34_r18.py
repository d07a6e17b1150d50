# DOT over KD: ResNet-34 (top-1 73.62 in mmpretrain's model zoo) > ResNet-18; T
#     1, task weight 0.5, KD weight 0.5, delta 0.09 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/dot_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/dot_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=0.5,
    losses=dict(type='mmdeepkd.KDLoss', temperature=1.0, loss_weight=0.5))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=-0.09, distill=0.09))
