# The plain one-stage student on the digits: RetinaNet, ResNet-18 of base
# width 16, from random initialisation.
# Needs: data/digits (python tools/dataset_tools/make_digits.py).
# Launch: python tools/train.py configs/digits/baseline_retinanet_r18w16.py \
#             --work-dir work_dirs/digits/baseline_retinanet
_base_ = [
    '../_base_/digits_retinanet_r18w16.py', '../_base_/digits_detection.py',
    '../_base_/digits_schedule.py', 'mmdet::_base_/default_runtime.py'
]

default_hooks = dict(logger=dict(interval=25))
