# DeepKD over CRLD, two views: ResNet-34 (top-1 73.62 in mmpretrain's model
#     zoo) > ResNet-18; T 1, task weight 2, weights 2 (within) and 0.5 (across
#     the views), thresholds 0.9 and 0.2, beta 0.5, warm-up 20 and the momenta
#     as released, and the paper's dynamic top-K.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/deepkd_crld_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/deepkd_crld_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet_two_views.py',
    '../_base_/imagenet_cosine_100e.py'
]

model = dict(
    task_weight=2.0,
    losses=dict(
        type='mmdeepkd.CRLDLoss',
        temperature=1.0,
        wv_weight=2.0,
        cv_weight=0.5,
        tau_weak=0.9,
        tau_strong=0.2,
        base='dkd',
        alpha=1.0,
        beta=0.5))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=0.075, target=-0.075, non_target=0.05))
default_hooks = dict(
    topk=dict(type='mmdeepkd.DynamicTopKHook'),
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
