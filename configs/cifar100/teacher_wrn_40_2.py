# The teacher: WRN-40-2, CIFAR-100. No file of this network is published; the
#     values are those of the others.
# Needs: data/cifar100 (mmpretrain downloads it).
# The published weights need no training: tools/convert_teacher.py writes
# checkpoints/cifar100/wrn_40_2.pth.
# Launch: python tools/train.py configs/cifar100/teacher_wrn_40_2.py
_base_ = [
    '../_base_/cifar100_models/wrn_40_2.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
