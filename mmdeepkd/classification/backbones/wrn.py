"""The wide residual networks of the CIFAR-100 pairs."""
from typing import Any, Dict, Optional, Tuple

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .layers import KAIMING, blocks_per_stage, conv, residual_stages


class PreActBlock(nn.Module):
    """Norm and ReLU before each of two convolutions, none after them."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else conv(in_channels, channels, 1,
                                               stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        active = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return out + (x if self.shortcut is None else self.shortcut(active))


@MODELS.register_module()
class CifarWRN(BaseModule):
    """Wide residual network for small images, without dropout.

    See "Wide Residual Networks" (Zagoruyko and Komodakis 2016), table 1.

    Attributes:
        out_channels: Channels of the feature map.

    Args:
        depth: 4 + 6 n for n blocks in each of the three stages.
        widen_factor: Width of the stages over 16, 32 and 64.
        init_cfg: Initialisation; by default Kaiming, fan-out.

    Raises:
        ValueError: No number of blocks gives this depth.
    """

    def __init__(self,
                 depth: int,
                 widen_factor: int = 1,
                 init_cfg: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(init_cfg or KAIMING)
        blocks = blocks_per_stage('CifarWRN', depth, 4, 3)
        self.out_channels = 64 * widen_factor
        widths = [width * widen_factor for width in (16, 32, 64)]
        self.conv1 = conv(3, 16)
        self.layers = residual_stages(PreActBlock, 16, widths, blocks)
        self.bn1 = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, out_channels, H / 4, W / 4) of (N, 3, H, W)."""
        return (F.relu(self.bn1(self.layers(self.conv1(x)))), )
