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
        beta=1.0,
        temperature=1.0))
# A distillation loss about doubles the gradient, and a momentum of 0.925 takes
# steps a third longer than 0.9: at the plain student's lr of 0.04 some seeds
# diverge. The usual delta of 0.05 is too much for 300 iterations, with or
# without a teacher.
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    delta=0.025,
    optimizer=dict(lr=0.02))
# With 10 non-target classes the default would begin with one class, which has
# nothing to teach.
default_hooks = dict(
    topk=dict(
        type='mmdeepkd.DynamicTopKHook', initial_ratio=0.5, static_k=8))
