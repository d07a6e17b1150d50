# GDKD on Digits-100: the teacher's five best classes and the others apart.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/gdkd_resnet8w32_resnet8w4.py
_base_ = 'dkd_resnet8w32_resnet8w4.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 1.0, 8.0),
        temperature=4.0))
