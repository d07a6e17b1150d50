# DeepKD over MLKD, two views: ResNet-34 (top-1 73.62 in mmpretrain's model
#     zoo) > ResNet-18; T 1, 3, 5, 2, 6, task weight 0.1, KD weight 0.9, beta
#     0.5, lr 0.1, warm-up 20 and the momenta as released, and the paper's
#     dynamic top-K.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/deepkd_mlkd_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/deepkd_mlkd_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet_two_views.py',
    '../_base_/imagenet_cosine_100e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(
        type='mmdeepkd.MLKDLoss',
        temperatures=(1.0, 3.0, 5.0, 2.0, 6.0),
        loss_weight=0.9,
        base='dkd',
        alpha=1.0,
        beta=0.5))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.1),
    offsets=dict(task=0.075, target=-0.075, non_target=0.05, distill=0.075))
default_hooks = dict(
    topk=dict(type='mmdeepkd.DynamicTopKHook'),
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
