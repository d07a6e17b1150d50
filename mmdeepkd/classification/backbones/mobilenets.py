"""MobileNetV2 of the CIFAR-100 pairs and MobileNetV1 of the ImageNet ones."""
from typing import Any, Dict, List, Optional, Tuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .layers import KAIMING, conv_bn, conv_bn_relu

InitCfg = Optional[Dict[str, Any]]

# Expansion, width, blocks, stride of the first block.
_V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2),
              (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# Width and stride of the separable convolutions.
_V1_LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
              *((512, 1), ) * 5, (1024, 2), (1024, 1))


class InvertedResidual(nn.Module):
    """Expand by 1x1, depthwise 3x3, project by 1x1; plain ReLUs."""

    def __init__(self, in_channels: int, channels: int, expansion: int,
                 stride: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.conv = nn.Sequential(
            *conv_bn_relu(in_channels, inner, 1),
            *conv_bn_relu(inner, inner, 3, stride, groups=inner),
            *conv_bn(inner, channels, 1))
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        return x + self.conv(x) if self.residual else self.conv(x)


@MODELS.register_module()
class CifarMobileNetV2(BaseModule):
    """MobileNetV2 for small images, as in the CIFAR-100 pairs.

    See "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et
    al. 2018), table 2; here the second stage has stride 1, the ReLUs have no
    upper limit, and the first block expands by a 1x1 convolution too.

    Attributes:
        out_channels: Channels of the feature map, 1280.

    Args:
        width: Width over the paper's, of all but the last convolution.
        init_cfg: Initialisation; by default Kaiming, fan-out.
    """

    def __init__(self, width: float = 0.5, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg or KAIMING)
        in_channels = int(32 * width)
        self.conv1 = nn.Sequential(*conv_bn_relu(3, in_channels, stride=2))
        stages: List[nn.Module] = []
        for expansion, full_width, number, stride in _V2_STAGES:
            channels = int(full_width * width)
            stage = []
            for i in range(number):
                stage.append(InvertedResidual(in_channels, channels, expansion,
                                              1 if i else stride))
                in_channels = channels
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.out_channels = 1280
        self.conv2 = nn.Sequential(
            *conv_bn_relu(in_channels, self.out_channels, 1))

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 1280, H / 16, W / 16) of (N, 3, H, W)."""
        return (self.conv2(self.blocks(self.conv1(x))), )


@MODELS.register_module()
class MobileNetV1(BaseModule):
    """MobileNetV1 for ImageNet.

    See "MobileNets: Efficient Convolutional Neural Networks for Mobile
    Vision Applications" (Howard et al. 2017), table 1.

    Attributes:
        out_channels: Channels of the feature map, 1024.

    Args:
        init_cfg: Initialisation; by default torch's, as published.
    """

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        in_channels = 32
        blocks = [nn.Sequential(*conv_bn_relu(3, in_channels, stride=2))]
        for channels, stride in _V1_LAYERS:
            blocks.append(
                nn.Sequential(
                    *conv_bn_relu(
                        in_channels, in_channels, 3, stride, in_channels),
                    *conv_bn_relu(in_channels, channels, 1)))
            in_channels = channels
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Return the map (N, 1024, H / 32, W / 32) of (N, 3, H, W)."""
        return (self.blocks(x), )
