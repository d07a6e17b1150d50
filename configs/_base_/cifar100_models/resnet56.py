# ResNet-56 for 32x32 images, 100 classes.
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='mmdeepkd.CifarResNet', depth=56),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(
        type='mmpretrain.LinearClsHead',
        num_classes=100,
        in_channels=64,
        loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0)))
