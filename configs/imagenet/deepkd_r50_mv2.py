# DeepKD over KD: ResNet-50 (top-1 76.55 in mmpretrain's model zoo) >
#     MobileNetV2; T 1, task weight 0.5, delta 0.075 as released, and the
#     paper's dynamic top-K.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmpretrain's model zoo.
# Launch: python tools/train.py configs/imagenet/deepkd_r50_mv2.py
#     or: tools/dist_train.sh configs/imagenet/deepkd_r50_mv2.py 8
_base_ = [
    '../_base_/imagenet_pairs/r50_mv2.py', '../_base_/imagenet.py',
    '../_base_/imagenet_cosine_100e.py'
]

model = dict(
    task_weight=0.5,
    losses=dict(type='mmdeepkd.DeepKDLoss', base='kd', temperature=1.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.075)
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
