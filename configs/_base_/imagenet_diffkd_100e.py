# DiffKD's published ImageNet run: 100 epochs at batch 256 (8 GPUs x 32), the
# rate falls to a tenth from epochs 31, 61 and 91 on, Nesterov's momentum, and
# no weight decay of biases and BatchNorm.
_base_ = ['imagenet.py', 'imagenet_step_100e.py']

train_dataloader = dict(batch_size=32)
optim_wrapper = dict(
    optimizer=dict(lr=0.1, nesterov=True),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
auto_scale_lr = dict(base_batch_size=256)
