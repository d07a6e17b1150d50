# KD on the digits: the student learns the RoI logits of the teacher.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/kd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/kd
_base_ = 'dkd_frcnn_r18w32_r18w16.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.KDLoss',
        temperature=1.0,
        loss_weight=1.0))
