# As cifar100_step_240e.py with a cosine: from 0.145 lr in epoch 1 linearly to
# lr in epoch 20, then down to 5e-5 in epoch 240.
_base_ = ['cifar100_step_240e.py']

# A run of E epochs has T_max = E - 20 and end = E: the cosine starts from the
# last epoch of the warm-up.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.145, by_epoch=True, begin=0, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min=5e-5,
        T_max=220,
        by_epoch=True,
        begin=19,
        end=240)
]
