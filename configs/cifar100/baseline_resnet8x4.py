# The plain student: ResNet-8x4, CIFAR-100, no teacher. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/res8x4.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_resnet8x4.py
_base_ = [
    '../_base_/cifar100_models/resnet8x4.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
