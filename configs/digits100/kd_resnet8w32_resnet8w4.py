# KD on Digits-100: the student learns the teacher's softened classes.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/kd_resnet8w32_resnet8w4.py
_base_ = ['baseline_resnet8w4.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'digits100/teacher_resnet8w32.py'),
    teacher_checkpoint='work_dirs/digits100/teacher/epoch_30.pth',
    losses=dict(type='mmdeepkd.KDLoss', temperature=4.0, loss_weight=0.9),
    task_weight=0.1)
# One training gave 81.8 on these pairs (docs/results/digits100.md).
teacher_metric = dict(name='accuracy/top1', value=81.8, tolerance=2.0)
