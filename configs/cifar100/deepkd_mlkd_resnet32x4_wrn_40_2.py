# DeepKD over MLKD (two views): ResNet-32x4 > WRN-40-2, CIFAR-100; T 2 to 6,
#     weight 0.5, alpha 1, beta 8, task weight 0.5, dynamic top-K. Values:
#     haiduo/DeepKD configs/cifar100/ours/mlkd/resnet32x4_wrn_40_2.yaml; that
#     file has no top-K.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_mlkd_resnet32x4_wrn_40_2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_wrn_40_2.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.5,
    losses=dict(
        type='mmdeepkd.MLKDLoss',
        base='dkd',
        alpha=1.0,
        beta=8.0,
        temperatures=(4.0, 3.0, 5.0, 2.0, 6.0),
        loss_weight=0.5))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.025),
    offsets=dict(task=0.075, target=-0.075, non_target=0.05, distill=0.075))
train_cfg = dict(max_epochs=480)
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
