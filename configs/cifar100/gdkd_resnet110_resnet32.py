# GDKD: ResNet-110 > ResNet-32, CIFAR-100; T 4, k 5, weights 1 / 1 / 1, task
#     weight 1. Values: ZaberKo/GDKD configs/cifar100/gdkd/res110_res32.yaml;
#     the teacher there saw AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet110.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet110.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/gdkd_resnet110_resnet32.py
_base_ = [
    '../_base_/cifar100_pairs/resnet110_resnet32.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 1.0, 1.0),
        temperature=4.0))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
