# GDKD: VGG-13 > MobileNetV2, CIFAR-100; T 4, k 5, weights 1 / 1 / 6, task
#     weight 1. Values: ZaberKo/GDKD configs/cifar100/gdkd/vgg13_mv2.yaml;
#     the teacher there saw AutoAugment and Cutout.
# Needs: checkpoints/cifar100/vgg13.pth, the teacher, from
#     tools/convert_teacher.py or teacher_vgg13.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/gdkd_vgg13_mobilenetv2.py
_base_ = [
    '../_base_/cifar100_pairs/vgg13_mobilenetv2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 1.0, 6.0),
        temperature=4.0))
optim_wrapper = dict(optimizer=dict(lr=0.01))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
