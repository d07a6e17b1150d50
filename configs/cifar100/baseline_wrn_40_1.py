# The plain student: WRN-40-1, CIFAR-100, no teacher. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/wrn_40_1.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_wrn_40_1.py
_base_ = [
    '../_base_/cifar100_models/wrn_40_1.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
