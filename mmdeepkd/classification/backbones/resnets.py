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


@MODELS.register_module()
class CifarResNet(BaseModule):
    """ResNet of basic blocks for small images, with a 3x3 stem.

    See "Deep Residual Learning for Image Recognition" (He et al. 2016),
    section 4.2; with a projection where the width changes. resnet8x4 of the
    published pairs is ``depth=8, channels=(32, 64, 128, 256)``; their ResNet18
    and ResNet50 are mmpretrain's ``ResNet_CIFAR``.

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
