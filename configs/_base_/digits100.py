# Digits-100: two real handwritten digits side by side, 8x16 pixels, 100
# classes. Made in memory from scikit-learn's bundled digits: no files. Seed 1:
# task and nets were tried out on the draw of seed 0.
# No augmentation: with 8x8 pixels a shift or a flip makes another image.
data_preprocessor = dict(
    type='mmpretrain.ClsDataPreprocessor',
    mean=[109., 109., 109.],
    std=[48., 48., 48.],
    num_classes=100)

# Images this small are prepared faster here than by a worker.
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmdeepkd.Digits100',
        split='train',
        seed=1,
        pipeline=[dict(type='mmpretrain.PackInputs', meta_keys=())]))
val_dataloader = dict(
    batch_size=500,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmdeepkd.Digits100',
        split='val',
        seed=1,
        test_mode=True,
        pipeline=[dict(type='mmpretrain.PackInputs', meta_keys=())]))
test_dataloader = dict(
    batch_size=500,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmdeepkd.Digits100',
        split='test',
        seed=1,
        test_mode=True,
        pipeline=[dict(type='mmpretrain.PackInputs', meta_keys=())]))

val_evaluator = dict(type='mmpretrain.Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
