# The published CIFAR-100 runs: 240 epochs at batch 64, the rate falls to a
# tenth from epochs 151, 181 and 211 on. Pairs with a MobileNet or ShuffleNet
# student set lr=0.01.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=240, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = dict(
    type='MultiStepLR', milestones=[150, 180, 210], gamma=0.1, by_epoch=True)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))

auto_scale_lr = dict(enable=False, base_batch_size=64)
