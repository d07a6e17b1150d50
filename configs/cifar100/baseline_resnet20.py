# The plain student: ResNet-20, CIFAR-100, no teacher. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/res20.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_resnet20.py
_base_ = [
    '../_base_/cifar100_models/resnet20.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
