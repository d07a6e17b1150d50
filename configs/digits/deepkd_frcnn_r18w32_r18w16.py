# DeepKD over DKD on the digits: one momentum per gradient stream, and a
# top-k mask that opens with the epochs.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/deepkd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/deepkd
_base_ = 'dkd_frcnn_r18w32_r18w16.py'

model = dict(losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd', beta=1.0))
# The usual delta of 0.05 doubles the steps, lr / (1 - momentum): too much for
# a training of 300 iterations.
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.025)
# With 10 non-target classes the default would begin with one class, which has
# nothing to teach.
default_hooks = dict(
    topk=dict(
        type='mmdeepkd.DynamicTopKHook', initial_ratio=0.5, static_k=8),
    # The streams' signal-to-noise ratio, for tools/analysis/report.py.
    gsnr=dict(type='mmdeepkd.GSNRHook', interval=50))
