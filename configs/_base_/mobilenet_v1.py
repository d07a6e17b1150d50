# MobileNetV1 of width 1 for ImageNet, which mmpretrain does not have.
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='mmdeepkd.MobileNetV1'),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(
        type='mmpretrain.LinearClsHead',
        num_classes=1000,
        in_channels=1024,
        loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5)))
