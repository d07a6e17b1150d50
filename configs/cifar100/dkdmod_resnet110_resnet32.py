# DKDMod: ResNet-110 > ResNet-32, CIFAR-100; T 4, alpha 1, beta 2, task
#     weight 1. Values: ZaberKo/GDKD
#     configs/cifar100/dkdmod/res110_res32.yaml; the teacher there saw
#     AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet110.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet110.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dkdmod_resnet110_resnet32.py
_base_ = [
    '../_base_/cifar100_pairs/resnet110_resnet32.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DKDModLoss',
        alpha=1.0,
        beta=2.0,
        temperature=4.0,
        split='target',
        kl_type='forward'))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
