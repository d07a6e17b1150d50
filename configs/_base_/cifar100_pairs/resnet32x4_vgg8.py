# ResNet-32x4 > VGG-8; the loss is the leaf's.
_base_ = [
    '../cifar100_models/vgg8.py', '../cifar100_runtime.py',
    '../distill_runtime.py'
]

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher=__import__('mmdeepkd').config_path(
        'cifar100/teacher_resnet32x4.py'),
    teacher_checkpoint='checkpoints/cifar100/resnet32x4.pth',
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False))
# The published file's, in RepDistiller's table.
teacher_metric = dict(name='accuracy/top1', value=79.42)
