# DeepKD over GDKD: ResNet-32x4 > ResNet-8x4, CIFAR-100; T 4, k 5, weights 1
#     / 2 / 8, task weight 1. GDKD's values and the paper's delta; DeepKD
#     over GDKD is unpublished.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_gdkd_resnet32x4_resnet8x4.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_resnet8x4.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 2.0, 8.0),
        temperature=4.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=20))
