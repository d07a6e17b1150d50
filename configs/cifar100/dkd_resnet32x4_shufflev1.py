# DKD: ResNet-32x4 > ShuffleNetV1, CIFAR-100; T 4, alpha 1, beta 8, task
#     weight 1. Values: megvii-research/mdistiller
#     configs/cifar100/dkd/res32x4_shuv1.yaml.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dkd_resnet32x4_shufflev1.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_shufflev1.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(type='mmdeepkd.DKDLoss', alpha=1.0, beta=8.0, temperature=4.0))
optim_wrapper = dict(optimizer=dict(lr=0.01))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
