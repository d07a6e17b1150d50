# The plain student: ShuffleNetV2, CIFAR-100, no teacher. Values:
#     ZaberKo/GDKD configs/cifar100/vanilla/shuv2.yaml.
# Needs: data/cifar100 (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/baseline_shufflev2.py
_base_ = [
    '../_base_/cifar100_models/shufflev2.py', '../_base_/cifar100.py',
    '../_base_/cifar100_step_240e.py', '../_base_/cifar100_runtime.py'
]

optim_wrapper = dict(optimizer=dict(lr=0.01))
