# The teacher: ResNet-32x4, CIFAR-100. Values: ZaberKo/GDKD
#     configs/cifar100/vanilla/res32x4.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# The published weights need no training: tools/convert_teacher.py writes
# checkpoints/cifar100/resnet32x4.pth.
# Launch: python tools/train.py configs/cifar100/teacher_resnet32x4.py
_base_ = [
    '../_base_/cifar100_models/resnet32x4.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]
