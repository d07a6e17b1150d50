# ResNet-50 (top-1 76.55 in mmpretrain's model zoo) > MobileNetV2.
_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    'mmpretrain::_base_/default_runtime.py', '../distill_runtime.py'
]

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    teacher_checkpoint=(
        'https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet50_8xb32_in1k_20210831-ea4938fc.pth'),
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False))
# mmpretrain's model zoo.
teacher_metric = dict(name='accuracy/top1', value=76.55)
