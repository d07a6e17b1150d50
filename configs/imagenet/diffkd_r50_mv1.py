# DiffKD: ResNet-50 (top-1 76.55 in mmpretrain's model zoo) > MobileNetV1;
#     last feature map and logits, all weights 1 and T 1 as published.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 32
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/diffkd_r50_mv1.py
#     or: tools/dist_train.sh configs/imagenet/diffkd_r50_mv1.py 8
_base_ = [
    '../_base_/imagenet_pairs/r50_mv1.py', '../_base_/imagenet_diffkd_100e.py'
]

# Half of the teacher's 2048 channels are the published 1024. The published
# diffusion models learn from the matching losses too: --cfg-options
# model.losses.0.semantics=released model.losses.1.semantics=released
model = dict(
    task_weight=1.0,
    # Weights 1, T 1 and five steps are the defaults.
    losses=[
        dict(type='mmdeepkd.DiffKDLoss'),
        dict(type='mmdeepkd.DiffKDLogitsLoss')
    ])
