# DeiT-Tiny with mmpretrain's own recipe of data, AdamW and 300 epochs. The
# types and the collation are those that mmpretrain's tools fill in.
_base_ = 'mmpretrain::deit/deit-tiny_4xb256_in1k.py'

data_preprocessor = dict(type='mmpretrain.ClsDataPreprocessor')
train_dataloader = dict(collate_fn=dict(type='default_collate'))
val_dataloader = dict(collate_fn=dict(type='default_collate'))
test_dataloader = dict(collate_fn=dict(type='default_collate'))
optim_wrapper = dict(type='OptimWrapper')
