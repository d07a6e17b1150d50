# DeepKD over KD: ResNet-32x4 > WRN-16-2, CIFAR-100; T 4, task weight 0.1,
#     dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/kd/resnet32x4_wrn_16_2.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/deepkd_resnet32x4_wrn_16_2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_wrn_16_2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.DeepKDLoss', base='kd', temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=0.075, target=-0.1, non_target=0.075))
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
