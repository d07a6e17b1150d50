# DeepKD over KD and DiffKD on Digits-100: logits and features, each gradient
# stream with its own momentum.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py \
#             configs/digits100/deepkd_diffkd_resnet8w32_resnet8w4.py
_base_ = 'deepkd_resnet8w32_resnet8w4.py'

model = dict(
    losses=[{{_base_.model.losses}}, dict(type='mmdeepkd.DiffKDLoss')])
# The features keep SGD's momentum, 0.9. For the task's write feature=0.075,
# which is also what `delta=0.075` gives them.
optim_wrapper = dict(
    delta=None,
    offsets=dict(task=0.075, target=-0.075, non_target=0.075, feature=0.0))
