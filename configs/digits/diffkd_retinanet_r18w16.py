# DiffKD on the digits for a one-stage student: RetinaNet learns the FPN maps
# of a Faster R-CNN, level by level of the same stride.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py configs/digits/diffkd_retinanet_r18w16.py \
#             --work-dir work_dirs/digits/diffkd_retinanet
_base_ = ['baseline_retinanet_r18w16.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'digits/teacher_frcnn_r18w32.py'),
    teacher_checkpoint='work_dirs/digits/teacher/epoch_8.pth',
    losses=dict(type='mmdeepkd.DiffKDLoss'))
# Two trainings gave 0.711 and 0.733 (docs/results/demo.md).
teacher_metric = dict(name='coco/bbox_mAP', value=0.71, tolerance=0.05)
