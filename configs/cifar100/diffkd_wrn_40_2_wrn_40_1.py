# DiffKD: WRN-40-2 > WRN-40-1, CIFAR-100; last feature map and logits, T 1,
#     all weights 1. No file for CIFAR-100 is released: the values are those
#     for ImageNet, the schedule that of the other methods (our choice).
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/diffkd_wrn_40_2_wrn_40_1.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_wrn_40_1.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=[
        dict(type='mmdeepkd.DiffKDLoss'),
        dict(type='mmdeepkd.DiffKDLogitsLoss', temperature=1.0)
    ])
