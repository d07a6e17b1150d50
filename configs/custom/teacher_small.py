# One's own data, a teacher of twice the student's width, from random
# initialisation: for small images, and to rehearse with.
# Needs: the data that _base_/data.py names.
# Launch: python tools/train.py configs/custom/teacher_small.py
_base_ = 'baseline_small.py'

model = dict(
    backbone=dict(base_channels=32), neck=dict(in_channels=[32, 64, 128, 256]))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
