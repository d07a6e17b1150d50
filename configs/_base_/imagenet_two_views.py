# ImageNet-1k in two views, in place of imagenet.py: the weak one is crop and
# flip, the strong one adds two random operations and a grey square of up to
# half the width, as published for MLKD and CRLD.
_base_ = ['imagenet.py', 'strong_view_policies.py']

data_preprocessor = dict(type='mmdeepkd.TwoViewDataPreprocessor')

weak_view = [
    dict(type='mmpretrain.RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal')
]
# Pixels are still BGR here, the fill values of the square too.
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
        magnitude_range=(0, 112),
        magnitude_std='inf',
        pad_val=(114, 123, 125),
        prob=1.0)
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmpretrain.MultiView',
        num_views=[1, 1],
        transforms=[weak_view, strong_view]),
    # Not img_shape: MultiView leaves it that of the file.
    dict(
        type='mmpretrain.PackInputs',
        meta_keys=('sample_idx', 'img_path', 'ori_shape'))
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
