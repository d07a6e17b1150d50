# CRLD on Digits-100: two views of every image, distilled within and across
# them where the teacher is sure.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/crld_resnet8w32_resnet8w4.py
_base_ = 'mlkd_resnet8w32_resnet8w4.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.CRLDLoss',
        temperature=4.0,
        wv_weight=1.0,
        cv_weight=0.5,
        tau_weak=0.9,
        tau_strong=0.2),
    task_weight=1.0)
