# DeepKD over MLKD (two views): VGG-13 > VGG-8, CIFAR-100; T 2 to 6, weight
#     0.9, alpha 1, beta 0.5, task weight 0.1, dynamic top-K. Values:
#     haiduo/DeepKD configs/cifar100/ours/mlkd/vgg13_vgg8.yaml; that file has
#     no top-K.
# Needs: checkpoints/cifar100/vgg13.pth, the teacher, from
#     tools/convert_teacher.py or teacher_vgg13.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/deepkd_mlkd_vgg13_vgg8.py
_base_ = [
    '../_base_/cifar100_pairs/vgg13_vgg8.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(
        type='mmdeepkd.MLKDLoss',
        base='dkd',
        alpha=1.0,
        beta=0.5,
        temperatures=(4.0, 3.0, 5.0, 2.0, 6.0),
        loss_weight=0.9))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.01),
    delta=0.075)
train_cfg = dict(max_epochs=480)
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
