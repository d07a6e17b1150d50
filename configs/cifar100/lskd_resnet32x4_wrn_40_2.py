# LSKD (KD on standardised logits): ResNet-32x4 > WRN-40-2, CIFAR-100; T 2,
#     weight 9, task weight 0.1. Values:
#     sunshangquan/logit-standardization-KD
#     configs/cifar100/kd/resnet32x4_wrn_40_2.yaml --logit-stand.
# Needs: checkpoints/cifar100/resnet32x4.pth, the teacher, from
#     tools/convert_teacher.py or teacher_resnet32x4.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/lskd_resnet32x4_wrn_40_2.py
_base_ = [
    '../_base_/cifar100_pairs/resnet32x4_wrn_40_2.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.1,
    losses=dict(
        type='mmdeepkd.KDLoss',
        temperature=2.0,
        loss_weight=9.0,
        standardize=True))
