# LSKD on Digits-100: KD on standardised logits.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/lskd_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

# The weights published for ImageNet: with CIFAR-100's task weight of 0.1 this
# student learns far less.
model = dict(
    losses=dict(temperature=2.0, loss_weight=9.0, standardize=True),
    task_weight=1.0)
