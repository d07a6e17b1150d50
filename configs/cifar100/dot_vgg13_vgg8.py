# DOT over KD: VGG-13 > VGG-8, CIFAR-100; T 4, weight 0.9, task weight 0.1.
#     Values: megvii-research/mdistiller
#     configs/cifar100/dot/vgg13_vgg8.yaml.
# Needs: checkpoints/cifar100/vgg13.pth, the teacher, from
#     tools/convert_teacher.py or teacher_vgg13.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/dot_vgg13_vgg8.py
_base_ = [
    '../_base_/cifar100_pairs/vgg13_vgg8.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.KDLoss', temperature=4.0, loss_weight=0.9))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=-0.075, distill=0.075))
