# DOT over DKD: ResNet-34 (top-1 73.62 in mmpretrain's model zoo) > ResNet-18;
#     alpha 1, beta 8, T 4, warm-up 20, delta 0.09 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/dot_dkd_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/dot_dkd_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py'
]

model = dict(
    task_weight=1.0,
    losses=dict(type='mmdeepkd.DKDLoss', alpha=1.0, beta=8.0, temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=-0.09, target=0.09, non_target=0.09))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
