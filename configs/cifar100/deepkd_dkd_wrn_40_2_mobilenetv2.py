# DeepKD over DKD: WRN-40-2 > MobileNetV2, CIFAR-100; T 4, alpha 1.5, beta 4,
#     task weight 1, dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/dkd/wrn_40_2_MobileNetV2.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py \
#             configs/cifar100/deepkd_dkd_wrn_40_2_mobilenetv2.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_mobilenetv2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.DeepKDLoss',
        base='dkd',
        alpha=1.5,
        beta=4.0,
        temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.006),
    offsets=dict(task=0.075, target=-0.075, non_target=0.08))
train_cfg = dict(max_epochs=480)
param_scheduler = dict(milestones=[180, 300, 420])
default_hooks = dict(
    warmup=dict(type='mmdeepkd.WarmupHook', epochs=20),
    topk=dict(type='mmdeepkd.DynamicTopKHook'))
