# The plain student: ResNet-32, CIFAR-100, no teacher. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/res32.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_resnet32.py
_base_ = [
    '../_base_/cifar100_models/resnet32.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
