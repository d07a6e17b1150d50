# CIFAR-100 in two views, in place of cifar100.py: the weak one is crop and
# flip, the strong one adds two random operations and a grey square of up to
# half the width, as published for MLKD and CRLD.
_base_ = ['cifar100.py', 'strong_view_policies.py']

data_preprocessor = dict(type='mmdeepkd.TwoViewDataPreprocessor')

weak_view = [
    dict(type='mmpretrain.RandomCrop', crop_size=32, padding=4),
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal')
]
strong_view = weak_view + [
    dict(
        type='mmpretrain.RandAugment',
        policies={{_base_.strong_view_policies}},
        num_policies=2,
        magnitude_level=10,
        magnitude_std='inf',
        hparams=dict(pad_val=0)),
    dict(
        type='mmpretrain.Cutout',
        magnitude_range=(0, 16),
        magnitude_std='inf',
        pad_val=(125, 123, 114),
        prob=1.0)
]
train_pipeline = [
    dict(
        type='mmpretrain.MultiView',
        num_views=[1, 1],
        transforms=[weak_view, strong_view]),
    dict(type='mmpretrain.PackInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
