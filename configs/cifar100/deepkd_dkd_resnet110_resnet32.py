# DeepKD over DKD: ResNet-110 > ResNet-32, CIFAR-100; T 4, alpha 1, beta 3,
#     task weight 1, dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/dkd/resnet110_resnet32.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/resnet110.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet110.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_dkd_resnet110_resnet32.py
_base_ = [
    '../_base_/cifar100_pairs/resnet110_resnet32.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DeepKDLoss',
        base='dkd',
        alpha=1.0,
        beta=3.0,
        temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=0.075, target=-0.075, non_target=0.0))
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
