# The plain student on Digits-100: a ResNet-8 of widths 4, 8 and 16, from
# random initialisation.
# Needs: nothing; the data are made in memory.
# Launch: python tools/train.py configs/digits100/baseline_resnet8w4.py
_base_ = [
    '../_base_/digits100.py', '../_base_/digits100_schedule.py',
    'mmpretrain::_base_/default_runtime.py'
]

model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='mmdeepkd.CifarResNet', depth=8, channels=(4, 4, 8, 16)),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(
        type='mmpretrain.LinearClsHead',
        num_classes=100,
        in_channels=16,
        loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0)))

default_hooks = dict(
    logger=dict(interval=15), checkpoint=dict(interval=5, max_keep_ckpts=1))
randomness = dict(seed=0)
