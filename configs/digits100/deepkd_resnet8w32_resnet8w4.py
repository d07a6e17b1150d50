# DeepKD over KD on Digits-100: the loss of KD in three streams, each with its
# momentum, and a top-k mask that opens with the epochs.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py \
#             configs/digits100/deepkd_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.DeepKDLoss',
        base='kd',
        alpha=0.9,
        beta=0.9,
        temperature=4.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.075)
default_hooks = dict(
    topk=dict(
        type='mmdeepkd.DynamicTopKHook', static_k=40, phases=(0.3, 0.7)))
