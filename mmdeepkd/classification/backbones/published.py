"""The published networks: our model dict of each, and how to rename its keys.

The names and checkpoints are those of mdistiller and RepDistiller
(``cifar_teachers``), which DeepKD's CIFAR-100 tables start from.
"""
import re
from typing import Any, Callable, Dict, List, Match, Optional, Tuple, Union

from torch import Tensor

_Backbone = Tuple[Dict[str, Any], int]


def _networks() -> Dict[str, _Backbone]:
    """Return the backbone and its width by published name."""
    wide = (32, 64, 128, 256)
    networks: Dict[str, _Backbone] = {}
    for depth in (8, 14, 20, 32, 44, 56, 110):
        networks[f'resnet{depth}'] = dict(
            type='mmdeepkd.CifarResNet', depth=depth), 64
    for depth in (8, 32):
        networks[f'resnet{depth}x4'] = dict(
            type='mmdeepkd.CifarResNet', depth=depth, channels=wide), 256
    for depth, width in ((18, 512), (50, 2048)):
        networks[f'ResNet{depth}'] = dict(
            type='mmpretrain.ResNet_CIFAR',
            depth=depth,
            zero_init_residual=False), width
    for depth in (16, 40):
        for factor in (1, 2):
            networks[f'wrn_{depth}_{factor}'] = dict(
                type='mmdeepkd.CifarWRN', depth=depth,
                widen_factor=factor), 64 * factor
    for depth in (8, 11, 13, 16, 19):
        networks[f'vgg{depth}'] = dict(
            type='mmdeepkd.CifarVGG', depth=depth), 512
    networks['MobileNetV2'] = dict(
        type='mmdeepkd.CifarMobileNetV2', width=0.5), 1280
    networks['ShuffleV1'] = dict(type='mmdeepkd.CifarShuffleNetV1'), 960
    networks['ShuffleV2'] = dict(type='mmdeepkd.CifarShuffleNetV2'), 1024
    networks['imagenet_MobileNetV1'] = dict(type='mmdeepkd.MobileNetV1'), 1024
    return networks


def published_networks() -> List[str]:
    """Return the published names of the networks."""
    return list(_networks())


def published_model(arch: str,
                    num_classes: Optional[int] = None) -> Dict[str, Any]:
    """Return the model dict of a published network.

    Args:
        arch: Published name, such as ``'resnet32x4'``.
        num_classes: Number of classes; by default the published 100, and
            1000 of ``'imagenet_MobileNetV1'``.

    Returns:
        An ``mmpretrain.ImageClassifier`` as a config writes it.

    Raises:
        KeyError: No published network has this name.

    Example:
        >>> published_model('resnet8x4')['head']['in_channels']
        256
    """
    backbone, width = _networks()[arch]
    if num_classes is None:
        num_classes = 1000 if arch.startswith('imagenet_') else 100
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=backbone,
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=num_classes,
            in_channels=width,
            loss=dict(type='mmpretrain.CrossEntropyLoss')))


def _stage(match: Match[str]) -> str:
    return f'backbone.layers.{int(match[1]) - 1}.'


# What replaces the start of a key; the first that fits does.
_Starts = Tuple[Tuple[str, Union[str, Callable[[Match[str]], str]]], ...]
_HEAD: _Starts = ((r'(?:fc|linear|classifier)\.(?:0\.)?', 'head.fc.'), )
_STARTS: _Starts = _HEAD + (
    (r'layer(\d)\.', _stage),
    (r'block(\d)\.layer\.', _stage),
    (r'block(\d)\.', r'backbone.blocks.\1.'),
    (r'model\.', 'backbone.blocks.'),
)


def rename_published(arch: str,
                     state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Give the tensors of a published network the keys of our model.

    Args:
        arch: Published name, such as ``'resnet32x4'``.
        state: Its state_dict, without the ``module.`` of a parallel run.

    Returns:
        The same tensors by their key in :func:`published_model`.
    """
    # mmpretrain's ResNet has the published names of the stages.
    branch, starts = ('downsample', _HEAD) if (
        arch in ('ResNet18', 'ResNet50')) else ('shortcut', _STARTS)
    return {
        _renamed(key, branch, starts): value
        for key, value in state.items()
    }


def _renamed(key: str, branch: str, starts: _Starts) -> str:
    key = re.sub(r'\.(?:downsample|convShortcut|shortcut)\.', f'.{branch}.',
                 key)
    for pattern, start in starts:
        if re.match(pattern, key):
            return re.sub(pattern, start, key, count=1)
    return f'backbone.{key}'
