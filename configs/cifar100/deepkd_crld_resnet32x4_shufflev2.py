# DeepKD over CRLD (two views): ResNet-32x4 > ShuffleNetV2, CIFAR-100; T 4,
#     weights 0.5 within and 0.5 across the views, alpha 1, beta 1, task
#     weight 1, dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/crld/res32x4_shuv2.yaml; that file has no top-K.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_crld_resnet32x4_shufflev2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_shufflev2.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_cosine_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.CRLDLoss',
        base='dkd',
        alpha=1.0,
        beta=1.0,
        temperature=4.0,
        wv_weight=0.5,
        cv_weight=0.5,
        tau_weak=0.9,
        tau_strong=0.2))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.01),
    delta=0.075)
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
