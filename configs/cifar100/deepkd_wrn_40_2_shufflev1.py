# DeepKD over KD: WRN-40-2 > ShuffleNetV1, CIFAR-100; T 4, task weight 0.1,
#     dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/kd/wrn_40_2_ShuffleV1.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/deepkd_wrn_40_2_shufflev1.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_shufflev1.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.DeepKDLoss', base='kd', temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(lr=0.01),
    offsets=dict(task=0.075, target=-0.075, non_target=0.085))
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
