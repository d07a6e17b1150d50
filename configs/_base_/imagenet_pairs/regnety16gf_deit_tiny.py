# RegNetY-16GF (timm's regnety_160) > DeiT-Tiny, with the student's own recipe
# of data, AdamW and schedule from mmpretrain.
_base_ = ['../imagenet_deit_tiny.py', '../distill_runtime.py']

model = dict(
    _delete_=True,
    type='mmdeepkd.ClassifierDistiller',
    student={{_base_.model}},
    teacher=dict(
        type='mmpretrain.TimmClassifier',
        model_name='regnety_160',
        data_preprocessor=dict(
            type='mmpretrain.ClsDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True)),
    teacher_checkpoint='checkpoints/imagenet/regnety_160.pth',
    teacher_speedup=dict(
        channels_last=True, fold_bn=True, amp=None, compile=False))
# DeiT, arXiv 2012.12877, Table 5.
teacher_metric = dict(name='accuracy/top1', value=82.9)
