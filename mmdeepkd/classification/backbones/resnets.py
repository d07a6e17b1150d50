"""The ResNets of the CIFAR-100 pairs."""
from typing import Any, Dict, Optional, Sequence, Tuple

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .layers import (
    KAIMING,
    blocks_per_stage,
    conv,
    conv_bn,
    residual_stages,
)

InitCfg = Optional[Dict[str, Any]]


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Sequential(*conv_bn(in_channels, channels, 1, stride))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the last ReLU comes after the addition."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the stride in the middle one."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, stride=stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv(channels, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 4 channels, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


@MODELS.register_module()
class CifarResNet(BaseModule):
    """ResNet of basic blocks for small images, with a 3x3 stem.

    See "Deep Residual Learning for Image Recognition" (He et al. 2016),
    section 4.2; with a projection where the width changes. resnet8x4 of the
    published pairs is ``depth=8, channels=(32, 64, 128, 256)``, their
    ResNet18 ``depth=18, channels=(64, 64, 128, 256, 512)``.

    Attributes:
        out_channels: Channels of the feature map.

    Args:
        depth: 2 + 2 n S for n blocks in each of the S stages.
        channels: Widths of the stem and of the stages.
        in_channels: Channels of the image.
        init_cfg: Initialisation; by default Kaiming, fan-out.

    Raises:
        ValueError: No number of blocks gives this depth.

    Example:
        >>> import torch
        >>> resnet8x4 = CifarResNet(depth=8, channels=(32, 64, 128, 256))
        >>> resnet8x4(torch.randn(2, 3, 32, 32))[0].shape
        torch.Size([2, 256, 8, 8])
    """

    def __init__(self,
                 depth: int,
                 channels: Sequence[int] = (16, 16, 32, 64),
                 in_channels: int = 3,
                 init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg or KAIMING)
        stem, widths = channels[0], channels[1:]
        blocks = blocks_per_stage('CifarResNet', depth, 2, len(widths))
        self.conv1 = conv(in_channels, stem)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layers = residual_stages(BasicBlock, stem, widths, blocks)
        self.out_channels = widths[-1]

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the last feature map.

        Args:
            x: Images (N, in_channels, H, W).

        Returns:
            One map (N, out_channels, H', W'), H' = H / 2^(S - 1).
        """
        return (self.layers(F.relu(self.bn1(self.conv1(x)))), )


@MODELS.register_module()
class CifarBottleneckResNet(BaseModule):
    """ResNet-50 of the CIFAR-100 pairs: the ImageNet one, with a 3x3 stem.

    See "Deep Residual Learning for Image Recognition" (He et al. 2016),
    table 1; the stem has stride 1 and no pooling.

    Attributes:
        out_channels: Channels of the feature map, 2048.

    Args:
        depth: 50, 101 or 152.
        init_cfg: Initialisation; by default Kaiming, fan-out.

    Raises:
        ValueError: The depth is another.
    """

    _BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

    def __init__(self, depth: int = 50, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg or KAIMING)
        if depth not in self._BLOCKS:
            raise ValueError('CifarBottleneckResNet has depth 50, 101 or 152, '
                             f'got {depth}; shallower is CifarResNet.')
        self.conv1 = conv(3, 64)
        self.bn1 = nn.BatchNorm2d(64)
        self.layers = residual_stages(Bottleneck, 64, (64, 128, 256, 512),
                              self._BLOCKS[depth])
        self.out_channels = 512 * Bottleneck.expansion

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 2048, H / 8, W / 8) of images (N, 3, H, W)."""
        return (self.layers(F.relu(self.bn1(self.conv1(x)))), )
