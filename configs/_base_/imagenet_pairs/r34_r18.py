# ResNet-34 (top-1 73.62 in mmpretrain's model zoo) > ResNet-18.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/default_runtime.py', '../distill_runtime.py'
]

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    teacher_checkpoint=(
        'https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet34_8xb32_in1k_20210831-f257d4e6.pth'),
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False))
# mmpretrain's model zoo.
teacher_metric = dict(name='accuracy/top1', value=73.62)
