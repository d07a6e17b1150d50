# GDKD: WRN-40-2 > WRN-16-2, CIFAR-100; T 4, k 5, weights 1 / 2 / 6, task
#     weight 1. Values: ZaberKo/GDKD
#     configs/cifar100/gdkd/wrn40_2_wrn_16_2.yaml; the teacher there saw
#     AutoAugment and Cutout.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/gdkd_wrn_40_2_wrn_16_2.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_wrn_16_2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 2.0, 6.0),
        temperature=4.0))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
