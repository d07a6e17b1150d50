# The published ImageNet runs: 100 epochs at batch 512 (8 GPUs x 64), the rate
# falls to a tenth from epochs 31, 61 and 91 on.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = dict(
    type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1, by_epoch=True)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4))

auto_scale_lr = dict(enable=False, base_batch_size=512)
