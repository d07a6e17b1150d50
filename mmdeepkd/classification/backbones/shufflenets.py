"""The ShuffleNets of the CIFAR-100 pairs."""
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .layers import conv, shuffle_channels

InitCfg = Optional[Dict[str, Any]]

_V1_GROUPS = 3


class ShuffleUnitV1(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; adds its input.

    With stride 2 it appends the pooled input instead.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        own = channels - in_channels if stride == 2 else channels
        inner = own // 4
        # 24 channels of the stem are too few for groups.
        self.groups = 1 if in_channels == 24 else _V1_GROUPS
        self.conv1 = conv(in_channels, inner, 1, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv(inner, inner, 3, stride, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, own, 1, groups=_V1_GROUPS)
        self.bn3 = nn.BatchNorm2d(own)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = shuffle_channels(out, self.groups)
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.stride == 1:
            return F.relu(out + x)
        return F.relu(torch.cat([out, F.avg_pool2d(x, 3, 2, 1)], 1))


class SplitUnit(nn.Module):
    """ShuffleNetV2's unit of stride 1: convolves one half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = conv(half, half, 1)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = conv(half, half, groups=half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv(half, half, 1)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        kept, out = x.chunk(2, dim=1)
        out = F.relu(self.bn1(self.conv1(out)))
        out = self.bn2(self.conv2(out))
        out = F.relu(self.bn3(self.conv3(out)))
        return shuffle_channels(torch.cat([kept, out], 1), 2)


class DownUnit(nn.Module):
    """ShuffleNetV2's unit of stride 2: two branches over all channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = conv(in_channels, in_channels, 3, 2, in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv(in_channels, half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv(in_channels, half, 1)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = conv(half, half, 3, 2, half)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv(half, half, 1)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / 2, W / 2)."""
        left = self.bn1(self.conv1(x))
        left = F.relu(self.bn2(self.conv2(left)))
        right = F.relu(self.bn3(self.conv3(x)))
        right = self.bn4(self.conv4(right))
        right = F.relu(self.bn5(self.conv5(right)))
        return shuffle_channels(torch.cat([left, right], 1), 2)


@MODELS.register_module()
class CifarShuffleNetV1(BaseModule):
    """ShuffleNetV1 with 3 groups for small images, with a 1x1 stem.

    See "ShuffleNet: An Extremely Efficient Convolutional Neural Network for
    Mobile Devices" (Zhang et al. 2018), table 1; here the depthwise
    convolutions are followed by a ReLU.

    Attributes:
        out_channels: Channels of the feature map, 960.

    Args:
        init_cfg: Initialisation; by default torch's, as published.
    """

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        self.conv1 = conv(3, 24, 1)
        self.bn1 = nn.BatchNorm2d(24)
        stages: List[nn.Module] = []
        in_channels = 24
        for channels, number in ((240, 4), (480, 8), (960, 4)):
            stages.append(
                nn.Sequential(
                    ShuffleUnitV1(in_channels, channels, 2),
                    *(ShuffleUnitV1(channels, channels, 1)
                      for _ in range(number - 1))))
            in_channels = channels
        self.layers = nn.Sequential(*stages)
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 960, H / 8, W / 8) of images (N, 3, H, W)."""
        return (self.layers(F.relu(self.bn1(self.conv1(x)))), )


@MODELS.register_module()
class CifarShuffleNetV2(BaseModule):
    """ShuffleNetV2 of size 1 for small images, with a 1x1 stem.

    See "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
    Design" (Ma et al. 2018), table 5.

    Attributes:
        out_channels: Channels of the feature map, 1024.

    Args:
        init_cfg: Initialisation; by default torch's, as published.
    """

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        self.conv1 = conv(3, 24, 1)
        self.bn1 = nn.BatchNorm2d(24)
        stages: List[nn.Module] = []
        in_channels = 24
        for channels, number in ((116, 4), (232, 8), (464, 4)):
            stages.append(
                nn.Sequential(
                    DownUnit(in_channels, channels),
                    *(SplitUnit(channels) for _ in range(number - 1))))
            in_channels = channels
        self.layers = nn.Sequential(*stages)
        self.out_channels = 1024
        self.conv2 = conv(in_channels, self.out_channels, 1)
        self.bn2 = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 1024, H / 8, W / 8) of images (N, 3, H, W)."""
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        return (F.relu(self.bn2(self.conv2(out))), )
