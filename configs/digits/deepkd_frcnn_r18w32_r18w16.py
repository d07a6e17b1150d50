# DeepKD over DKD on the digits: one momentum per gradient stream, and a
# top-k mask that opens with the epochs.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/deepkd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/deepkd
_base_ = ['baseline_frcnn_r18w16.py', '../_base_/distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'digits/teacher_frcnn_r18w32.py'),
    teacher_checkpoint='work_dirs/digits/teacher/epoch_8.pth',
    losses=dict(
        type='mmdeepkd.DeepKDLoss',
        base='dkd',
        alpha=1.0,
        beta=0.25,
        temperature=1.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
