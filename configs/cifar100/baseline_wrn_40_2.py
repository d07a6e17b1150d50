# The plain student: WRN-40-2, CIFAR-100, no teacher: as a teacher trains too.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_wrn_40_2.py
_base_ = 'teacher_wrn_40_2.py'
