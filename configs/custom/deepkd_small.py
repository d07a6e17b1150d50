# One's own data, DeepKD over DKD: teacher_small.py > baseline_small.py.
# Needs: the data that _base_/data.py names and, in its work dir, the teacher
#     of teacher_small.py.
# Launch: python tools/train.py configs/custom/deepkd_small.py
_base_ = 'baseline_small.py'

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    # The file beside this one, in a copy of the folder too.
    teacher=__import__('os').path.realpath(
        '{{ fileDirname }}/teacher_small.py'),
    teacher_checkpoint=_base_.runs + '/teacher_small/epoch_4.pth',
    losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd', beta=1.0))
# As on the digits: a short training stands no more.
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper', delta=0.025, optimizer=dict(lr=0.02))
# For few classes: from half of them to all of them. The default begins with
# 5 %, which would be one class, in which there is nothing to distil; for
# dozens of classes leave both settings out.
default_hooks = dict(
    topk=dict(
        type='mmdeepkd.DynamicTopKHook',
        static_k={{_base_.num_classes}},
        initial_ratio=0.5))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
