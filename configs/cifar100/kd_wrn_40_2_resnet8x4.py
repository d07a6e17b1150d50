# KD: WRN-40-2 > ResNet-8x4, CIFAR-100; T 4, weight 0.9, task weight 0.1. No
#     KD of this pair is published; the values are those of the other pairs.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/kd_wrn_40_2_resnet8x4.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_resnet8x4.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.KDLoss', temperature=4.0, loss_weight=0.9))
