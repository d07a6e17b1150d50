# The teacher on the digits: twice the student's width, twice its epochs.
# Needs: data/digits (python tools/dataset_tools/make_digits.py).
# Launch: python tools/train.py configs/digits/teacher_frcnn_r18w32.py \
#             --work-dir work_dirs/digits/teacher
_base_ = 'baseline_frcnn_r18w16.py'

model = dict(
    backbone=dict(base_channels=32), neck=dict(in_channels=[32, 64, 128, 256]))
train_cfg = dict(max_epochs=8, val_interval=2)
