# CRLD, two views: ResNet-34 (top-1 73.62 in mmpretrain's model zoo) >
#     ResNet-18; T 1, task weight 2, weights 2 (within) and 0.5 (across the
#     views), thresholds 0.9 and 0.2, cosine: the undecoupled half of the
#     released DeepKD over CRLD (unpublished by itself).
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/crld_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/crld_r34_r18.py 8
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
        tau_strong=0.2))
