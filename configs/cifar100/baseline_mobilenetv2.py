# The plain student: MobileNetV2 (width 0.5), CIFAR-100, no teacher. Values:
#     ZaberKo/GDKD configs/cifar100/vanilla/mv2.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_mobilenetv2.py
_base_ = [
    '../_base_/cifar100_models/mobilenetv2.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]

optim_wrapper = dict(optimizer=dict(lr=0.01))
