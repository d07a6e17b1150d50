# DOT over KD: ResNet-32x4 > ResNet-8x4, CIFAR-100; T 4, weight 0.9, task
#     weight 0.1. Values: megvii-research/mdistiller
#     configs/cifar100/dot/res32x4_res8x4.yaml.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dot_resnet32x4_resnet8x4.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_resnet8x4.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.KDLoss', temperature=4.0, loss_weight=0.9))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=-0.075, distill=0.075))
