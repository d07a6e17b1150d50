# KD on the digits: the student learns the RoI logits of the teacher.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/kd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/kd
_base_ = ['baseline_frcnn_r18w16.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'digits/teacher_frcnn_r18w32.py'),
    teacher_checkpoint='work_dirs/digits/teacher/epoch_8.pth',
    losses=dict(type='mmdeepkd.KDLoss', temperature=1.0, loss_weight=1.0))
# A distillation loss about doubles the gradient: at the plain student's lr of
# 0.04 some seeds diverge.
optim_wrapper = dict(optimizer=dict(lr=0.02))
