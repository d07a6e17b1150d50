# GDKD: ResNet-50 > MobileNetV2, CIFAR-100; T 4, k 5, weights 1 / 1 / 8, task
#     weight 1. Values: ZaberKo/GDKD configs/cifar100/gdkd/res50_mv2.yaml;
#     the teacher there saw AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet50.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet50.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/gdkd_resnet50_mobilenetv2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet50_mobilenetv2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 1.0, 8.0),
        temperature=4.0))
optim_wrapper = dict(optimizer=dict(lr=0.01))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
