# DeepKD over DKD: ResNet-56 > ResNet-20, CIFAR-100; T 4, alpha 1, beta 0.5,
#     task weight 1, dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/dkd/resnet56_resnet20.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/resnet56.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet56.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_dkd_resnet56_resnet20.py
_base_ = [
    '../_base_/cifar100_pairs/resnet56_resnet20.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DeepKDLoss',
        base='dkd',
        alpha=1.0,
        beta=0.5,
        temperature=4.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.075)
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
