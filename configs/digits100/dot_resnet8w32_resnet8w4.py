# DOT on Digits-100: KD with a higher momentum for the distillation and a
# lower one for the task.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/dot_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=-0.075, distill=0.075))
