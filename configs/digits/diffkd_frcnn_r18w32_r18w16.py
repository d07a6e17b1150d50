# DiffKD on the digits: the student's FPN maps are denoised by a diffusion
# model of the teacher's, and then matched.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/diffkd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/diffkd
_base_ = 'dkd_frcnn_r18w32_r18w16.py'

model = dict(losses=dict(_delete_=True, type='mmdeepkd.DiffKDLoss'))
