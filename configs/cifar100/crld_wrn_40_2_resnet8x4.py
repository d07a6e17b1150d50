# CRLD (two views): WRN-40-2 > ResNet-8x4, CIFAR-100; T 4, weights 1 within
#     and 0.5 across the views, task weight 1. Values: haiduo/DeepKD
#     configs/cifar100/ours/crld/wrn40_2_res8x4.yaml; released under DeepKD
#     alone.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/crld_wrn_40_2_resnet8x4.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_resnet8x4.py',
    '../_base_/cifar100_two_views.py', '../_base_/cifar100_cosine_240e.py'
]

model = dict(
    losses=dict(
        type='mmdeepkd.CRLDLoss',
        temperature=4.0,
        wv_weight=1.0,
        cv_weight=0.5,
        tau_weak=0.9,
        tau_strong=0.2))
