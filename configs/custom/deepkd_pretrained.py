# One's own data, DeepKD over DKD: teacher_pretrained.py (ResNet-50) >
#     baseline_pretrained.py (ResNet-18).
# Needs: the data that _base_/data.py names and, in its work dir, the teacher
#     of teacher_pretrained.py. The learning rate is for one GPU x 4 images;
#     for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/custom/deepkd_pretrained.py
_base_ = 'baseline_pretrained.py'

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    # The file beside this one, in a copy of the folder too.
    teacher=__import__('os').path.realpath(
        '{{ fileDirname }}/teacher_pretrained.py'),
    teacher_checkpoint=_base_.runs + '/teacher_pretrained/epoch_12.pth',
    losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd'))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
# For few classes: from half of them to all of them. The default begins with
# 5 %, which would be one class, in which there is nothing to distil; for
# dozens of classes leave both settings out.
default_hooks = dict(
    topk=dict(
        type='mmdeepkd.DynamicTopKHook',
        static_k={{_base_.num_classes}},
        initial_ratio=0.5))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
