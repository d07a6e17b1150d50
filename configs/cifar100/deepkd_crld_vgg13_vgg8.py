# DeepKD over CRLD (two views): VGG-13 > VGG-8, CIFAR-100; T 4, weights 2
#     within and 0.5 across the views, alpha 1, beta 0.5, task weight 1,
#     dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/crld/vgg13_vgg8.yaml; that file has no top-K.
# Needs: checkpoints/cifar100/vgg13.pth, the teacher, from
#     tools/convert_teacher.py or teacher_vgg13.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/deepkd_crld_vgg13_vgg8.py
_base_ = [
    '../_base_/cifar100_pairs/vgg13_vgg8.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.CRLDLoss',
        base='dkd',
        alpha=1.0,
        beta=0.5,
        temperature=4.0,
        wv_weight=2.0,
        cv_weight=0.5,
        tau_weak=0.9,
        tau_strong=0.2))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=0.075, target=-0.075, non_target=0.05))
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
