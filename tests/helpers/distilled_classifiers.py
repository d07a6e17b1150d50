"""Classifiers that are distilled by their features."""
from .classifiers import resnet

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
LOGITS = dict(type='mmdeepkd.DiffKDLogitsLoss')


def staged(width=4, stages=(0, 1, 2, 3), **kwargs):
    """A ResNet that gives the maps of several stages."""
    model = resnet(width=width, **kwargs)
    model['backbone']['out_indices'] = stages
    return model


def with_dropout(**kwargs):
    """A ResNet that draws random numbers in training."""
    return resnet(
        head=dict(
            type='mmpretrain.StackedLinearClsHead',
            mid_channels=[8],
            dropout_rate=0.4),
        **kwargs)


def plain_tensors(state):
    """Leave out what is trained beside the student."""
    return {k: v for k, v in state.items() if not k.startswith('distill.')}
