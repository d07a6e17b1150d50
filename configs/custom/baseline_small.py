# One's own data, the plain student: Faster R-CNN, ResNet-18 of base width 16,
# from random initialisation, for small images; the matched run without
# teacher.
# Needs: the data that _base_/data.py names.
# Launch: python tools/train.py configs/custom/baseline_small.py
_base_ = [
    __import__('mmdeepkd').config_path('_base_/digits_frcnn_r18w16.py'),
    '_base_/data.py', '_base_/schedule.py', 'mmdet::_base_/default_runtime.py'
]

model = dict(
    roi_head=dict(bbox_head=dict(num_classes={{_base_.num_classes}})))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
