# One's own data, DiffKD on the maps of the FPN: teacher_pretrained.py
#     (ResNet-50) > baseline_pretrained.py (ResNet-18).
# Needs: the data that _base_/data.py names and, in its work dir, the teacher
#     of teacher_pretrained.py. The learning rate is for one GPU x 4 images;
#     for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/custom/diffkd_pretrained.py
_base_ = 'baseline_pretrained.py'

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    # The file beside this one, in a copy of the folder too.
    teacher=__import__('os').path.realpath(
        '{{ fileDirname }}/teacher_pretrained.py'),
    teacher_checkpoint=_base_.runs + '/teacher_pretrained/epoch_12.pth',
    losses=dict(type='mmdeepkd.DiffKDLoss'))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
