# DKDMod: ResNet-50 > MobileNetV2, CIFAR-100; T 4, alpha 1, beta 8, task
#     weight 1. Values: ZaberKo/GDKD configs/cifar100/dkdmod/res50_mv2.yaml;
#     the teacher there saw AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet50.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet50.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dkdmod_resnet50_mobilenetv2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet50_mobilenetv2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DKDModLoss',
        alpha=1.0,
        beta=8.0,
        temperature=4.0,
        split='target',
        kl_type='forward'))
optim_wrapper = dict(optimizer=dict(lr=0.01))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
