# The teacher on Digits-100: eight times the student's width, half as many
# epochs again.
# Needs: nothing; the data are made in memory.
# Launch: python tools/train.py configs/digits100/teacher_resnet8w32.py \
#             --work-dir work_dirs/digits100/teacher
_base_ = 'baseline_resnet8w4.py'

model = dict(
    backbone=dict(channels=(32, 32, 64, 128)), head=dict(in_channels=128))
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=5e-3))
train_cfg = dict(max_epochs=30, val_interval=30)
