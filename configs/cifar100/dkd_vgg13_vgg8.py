# DKD: VGG-13 > VGG-8, CIFAR-100; T 4, alpha 1, beta 6, task weight 1.
#     Values: megvii-research/mdistiller
#     configs/cifar100/dkd/vgg13_vgg8.yaml.
# Needs: checkpoints/cifar100/vgg13.pth, the teacher, from
#     tools/convert_teacher.py or teacher_vgg13.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dkd_vgg13_vgg8.py
_base_ = [
    '../_base_/cifar100_pairs/vgg13_vgg8.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(type='mmdeepkd.DKDLoss', alpha=1.0, beta=6.0, temperature=4.0))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
