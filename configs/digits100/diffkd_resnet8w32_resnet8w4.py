# DiffKD on Digits-100: the student's last feature map and its logits are
# denoised by diffusion models of the teacher's, and then matched.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py \
#             configs/digits100/diffkd_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

model = dict(
    losses=[
        dict(type='mmdeepkd.DiffKDLoss'),
        # At the published weight of 1 the logits take over a training of 300
        # iterations: README.md.
        dict(type='mmdeepkd.DiffKDLogitsLoss', loss_weight=0.1)
    ],
    task_weight=1.0)
