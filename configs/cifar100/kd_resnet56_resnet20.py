# KD: ResNet-56 > ResNet-20, CIFAR-100; T 4, weight 0.9, task weight 0.1.
#     Values: ZaberKo/GDKD configs/cifar100/kd/res56_res20.yaml; the teacher
#     there saw AutoAugment and Cutout.
# Needs: checkpoints/cifar100/resnet56.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet56.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/kd_resnet56_resnet20.py
_base_ = [
    '../_base_/cifar100_pairs/resnet56_resnet20.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(type='mmdeepkd.KDLoss', temperature=4.0, loss_weight=0.9))
