# WRN-40-2 > WRN-40-1; the loss is the leaf's.
_base_ = [
    '../cifar100_models/wrn_40_1.py', '../cifar100_runtime.py',
    '../distill_runtime.py'
]

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'cifar100/teacher_wrn_40_2.py'),
    teacher_checkpoint='checkpoints/cifar100/wrn_40_2.pth',
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False))
# The published file's, in RepDistiller's table.
teacher_metric = dict(name='accuracy/top1', value=75.61)
