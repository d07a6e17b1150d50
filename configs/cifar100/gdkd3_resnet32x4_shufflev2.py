# GDKD3: ResNet-32x4 > ShuffleNetV2, CIFAR-100; T 4, k 4, weights 1 / 1 / 8,
#     task weight 1. Values: ZaberKo/GDKD
#     configs/cifar100/gdkd3/res32x4_shuv2.yaml; the teacher there saw
#     AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/gdkd3_resnet32x4_shufflev2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_shufflev2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKD3Loss',
        k=4,
        weights=(1.0, 1.0, 8.0),
        temperature=4.0))
optim_wrapper = dict(optimizer=dict(lr=0.01))
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
