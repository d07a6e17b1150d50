# MLKD (two views): WRN-40-2 > WRN-16-2, CIFAR-100; T 2 to 6, weight 0.9,
#     task weight 0.1. Values: ZaberKo/GDKD
#     configs/cifar100/mlkd/wrn40_2_wrn_16_2.yaml; the teacher there saw
#     AutoAugment and Cutout.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/mlkd_wrn_40_2_wrn_16_2.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_wrn_16_2.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(
        type='mmdeepkd.MLKDLoss',
        temperatures=(2.0, 3.0, 4.0, 5.0, 6.0),
        loss_weight=0.9))
