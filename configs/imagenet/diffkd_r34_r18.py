# DiffKD: ResNet-34 (top-1 73.62 in mmpretrain's model zoo) > ResNet-18;
#     last feature map and logits, all weights 1 and T 1 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 32
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/diffkd_r34_r18.py
#     or: tools/dist_train.sh configs/imagenet/diffkd_r34_r18.py 8
_base_ = [
    '../_base_/imagenet_pairs/r34_r18.py', '../_base_/imagenet_diffkd_100e.py'
]

# The auto-encoder halves the teacher's 512 channels; the published one has
# 1024, and the published diffusion models learn from the matching losses too.
# As published: --cfg-options model.losses.0.channels=1024
# model.losses.0.semantics=released model.losses.1.semantics=released
model = dict(
    task_weight=1.0,
    # Weights 1, T 1 and five steps are the defaults.
    losses=[
        dict(type='mmdeepkd.DiffKDLoss'),
        dict(type='mmdeepkd.DiffKDLogitsLoss')
    ])
