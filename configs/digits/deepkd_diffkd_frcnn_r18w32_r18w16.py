# DeepKD over DKD and DiffKD on the digits: logits and features, each gradient
# stream with its own momentum.
# Needs: data/digits (python tools/dataset_tools/make_digits.py) and, in
# work_dirs/digits/teacher, the teacher of teacher_frcnn_r18w32.py.
# Launch: python tools/train.py \
#             configs/digits/deepkd_diffkd_frcnn_r18w32_r18w16.py \
#             --work-dir work_dirs/digits/deepkd_diffkd
_base_ = 'deepkd_frcnn_r18w32_r18w16.py'

model = dict(
    losses=[{{_base_.model.losses}}, dict(type='mmdeepkd.DiffKDLoss')])
# The features keep SGD's momentum, 0.9. For the task's write feature=0.025,
# which is also what `delta=0.025` gives them.
optim_wrapper = dict(
    delta=None,
    offsets=dict(task=0.025, target=-0.025, non_target=0.025, feature=0.0))
