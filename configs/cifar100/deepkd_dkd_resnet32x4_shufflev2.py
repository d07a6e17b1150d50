# DeepKD over DKD: ResNet-32x4 > ShuffleNetV2, CIFAR-100; T 4, alpha 1, beta
#     8, task weight 1, dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/dkd/resnet32x4_ShuffleV2.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_dkd_resnet32x4_shufflev2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_shufflev2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DeepKDLoss',
        base='dkd',
        alpha=1.0,
        beta=8.0,
        temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.01),
    delta=0.075)
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
