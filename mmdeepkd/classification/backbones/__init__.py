"""Backbones that mmpretrain lacks; each returns its last feature map."""
from .mobilenets import CifarMobileNetV2, MobileNetV1
from .published import published_model, published_networks
from .resnets import CifarResNet
from .shufflenets import CifarShuffleNetV1, CifarShuffleNetV2
from .vgg import CifarVGG
from .wrn import CifarWRN

__all__ = [
    'CifarMobileNetV2', 'CifarResNet', 'CifarShuffleNetV1',
    'CifarShuffleNetV2', 'CifarVGG', 'CifarWRN', 'MobileNetV1',
    'published_model', 'published_networks'
]
