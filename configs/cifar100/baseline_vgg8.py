# The plain student: VGG-8, CIFAR-100, no teacher. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/vgg8.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_vgg8.py
_base_ = [
    '../_base_/cifar100_models/vgg8.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
