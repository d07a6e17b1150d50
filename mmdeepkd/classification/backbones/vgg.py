"""The VGG networks of the CIFAR-100 pairs."""
from typing import Any, Dict, List, Optional, Tuple

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .layers import KAIMING

_WIDTHS = (64, 128, 256, 512, 512)
# Convolutions in each of the five blocks.
_CONVS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def _block(in_channels: int, channels: int, convs: int) -> nn.Sequential:
    layers: List[nn.Module] = []
    for _ in range(convs):
        layers += [
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True)
        ]
        in_channels = channels
    return nn.Sequential(*layers)


@MODELS.register_module()
class CifarVGG(BaseModule):
    """VGG with batch norm for small images: three poolings, no hidden layer.

    See "Very Deep Convolutional Networks for Large-Scale Image Recognition"
    (Simonyan and Zisserman 2015), table 1; depth 8 is the CIFAR-100 pairs'.

    Attributes:
        out_channels: Channels of the feature map, 512.

    Args:
        depth: 8, 11, 13, 16 or 19.
        init_cfg: Initialisation; by default Kaiming, fan-out.

    Raises:
        ValueError: The depth is another.
    """

    def __init__(self,
                 depth: int,
                 init_cfg: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(init_cfg or KAIMING)
        if depth not in _CONVS:
            raise ValueError(
                f'CifarVGG has depth 8, 11, 13, 16 or 19, got {depth}.')
        self.blocks = nn.ModuleList(
            _block(in_channels, channels, convs) for in_channels, channels,
            convs in zip((3, *_WIDTHS), _WIDTHS, _CONVS[depth]))
        self.out_channels = _WIDTHS[-1]

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 512, H / 8, W / 8) of images (N, 3, H, W)."""
        for i, block in enumerate(self.blocks):
            # The last two blocks see the same 4x4 of a 32x32 image.
            x = block(F.max_pool2d(x, 2) if 0 < i < 4 else x)
        return (x, )
