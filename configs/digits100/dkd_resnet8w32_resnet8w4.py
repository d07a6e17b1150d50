# DKD on Digits-100: target and non-target knowledge weighed apart.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/dkd_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.DKDLoss',
        alpha=1.0,
        beta=8.0,
        temperature=4.0),
    task_weight=1.0)
# As CIFAR-100's 20 of 240 epochs.
default_hooks = dict(warmup=dict(type='mmdeepkd.WarmupHook', epochs=2))
