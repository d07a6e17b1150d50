"""Distillation of mmpretrain's classifiers; only this room imports it."""
from importlib.util import find_spec

from .backbones import (
    CifarMobileNetV2,
    CifarResNet,
    CifarShuffleNetV1,
    CifarShuffleNetV2,
    CifarVGG,
    CifarWRN,
    MobileNetV1,
)

if find_spec('mmpretrain') is not None:
    from .classifier_distiller import ClassifierDistiller
    from .digits100 import Digits100 as _Digits100  # noqa: F401
    from .two_views import TwoViewDataPreprocessor as _TwoViews  # noqa: F401
else:
    from .missing import ClassifierDistiller

__all__ = [
    'CifarMobileNetV2', 'CifarResNet', 'CifarShuffleNetV1',
    'CifarShuffleNetV2', 'CifarVGG', 'CifarWRN', 'ClassifierDistiller',
    'MobileNetV1'
]
