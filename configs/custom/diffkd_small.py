# One's own data, DiffKD on the maps of the FPN: teacher_small.py >
# baseline_small.py.
# Needs: the data that _base_/data.py names and, in its work dir, the teacher
#     of teacher_small.py.
# Launch: python tools/train.py configs/custom/diffkd_small.py
_base_ = 'baseline_small.py'

model = dict(
    _delete_=True,
    type='mmdeepkd.DetectorDistiller',
    student={{_base_.model}},
    # The file beside this one, in a copy of the folder too.
    teacher=__import__('os').path.realpath(
        '{{ fileDirname }}/teacher_small.py'),
    teacher_checkpoint=_base_.runs + '/teacher_small/epoch_4.pth',
    losses=dict(type='mmdeepkd.DiffKDLoss'))
# As on the digits: a short training stands no more.
optim_wrapper = dict(optimizer=dict(lr=0.02))
work_dir = _base_.runs + '/{{ fileBasenameNoExtension }}'
