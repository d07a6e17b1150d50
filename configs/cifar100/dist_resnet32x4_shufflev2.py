# DIST: ResNet-32x4 > ShuffleNetV2, CIFAR-100; T 4, beta 2, gamma 2, task
#     weight 1. Values: ZaberKo/GDKD
#     configs/cifar100/dist/res32x4_shuv2.yaml; the teacher there saw
#     AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dist_resnet32x4_shufflev2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_shufflev2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DISTLoss',
        beta=2.0,
        gamma=2.0,
        temperature=4.0))
optim_wrapper = dict(optimizer=dict(lr=0.01))
