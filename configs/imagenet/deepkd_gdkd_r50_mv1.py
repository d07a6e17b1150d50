# DeepKD over GDKD: ResNet-50 (top-1 76.55 in mmpretrain's model zoo) >
#     MobileNetV1; k 5, weights 0.5, 2, 2, T 1 as for GDKD; momenta and
#     schedule as for DeepKD over DKD (our choice, unpublished). GDKD has no
#     top-K mask.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/deepkd_gdkd_r50_mv1.py
#     or: tools/dist_train.sh configs/imagenet/deepkd_gdkd_r50_mv1.py 8
_base_ = [
    '../_base_/imagenet_pairs/r50_mv1.py', '../_base_/imagenet.py',
    '../_base_/imagenet_cosine_100e.py'
]

model = dict(
    task_weight=1.0,
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(0.5, 2.0, 2.0),
        temperature=1.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.075)
