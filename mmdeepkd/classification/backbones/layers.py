"""What several backbones are made of."""
from typing import Any, List, Sequence, Type

from torch import Tensor, nn

# Convolutions as published: normal with variance 2 / (k * k * out_channels),
# for depthwise ones too; the norms keep torch's 1 and 0.
KAIMING = dict(
    type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu')


def conv(in_channels: int,
         out_channels: int,
         kernel_size: int = 3,
         stride: int = 1,
         groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False)


def conv_bn(in_channels: int,
            out_channels: int,
            kernel_size: int = 3,
            stride: int = 1,
            groups: int = 1) -> List[nn.Module]:
    """Return a convolution and its norm, for an ``nn.Sequential``."""
    return [
        conv(in_channels, out_channels, kernel_size, stride, groups),
        nn.BatchNorm2d(out_channels)
    ]


def conv_bn_relu(in_channels: int,
                 out_channels: int,
                 kernel_size: int = 3,
                 stride: int = 1,
                 groups: int = 1) -> List[nn.Module]:
    """Return a convolution, its norm and a ReLU, for an ``nn.Sequential``."""
    return [
        *conv_bn(in_channels, out_channels, kernel_size, stride, groups),
        nn.ReLU(inplace=True)
    ]


def blocks_per_stage(name: str, depth: int, rest: int,
                     stages: int) -> List[int]:
    """Return the number of two-layer blocks of each of the stages.

    Args:
        name: Name of the backbone, for the message.
        depth: Layers with weights, all in all.
        rest: Those outside the blocks.
        stages: Number of stages, all of them equally deep.

    Raises:
        ValueError: No number of blocks gives this depth.
    """
    number, left = divmod(depth - rest, 2 * stages)
    if number < 1 or left:
        raise ValueError(
            f'{name} with {stages} stages has depth {rest} + {2 * stages} n '
            f'({rest + 2 * stages}, {rest + 4 * stages}, ...), got {depth}.')
    return [number] * stages


def residual_stages(block: Type[Any], in_channels: int,
                    channels: Sequence[int],
                    blocks: Sequence[int]) -> nn.Sequential:
    """Stack the stages; each but the first halves height and width.

    Args:
        block: Built as ``block(in_channels, channels, stride)``.
        in_channels: Channels of the input.
        channels: Channels of the blocks of each stage.
        blocks: Number of blocks of each stage.
    """
    stages: List[nn.Module] = []
    for i, (width, number) in enumerate(zip(channels, blocks)):
        stage = []
        for j in range(number):
            stage.append(block(in_channels, width, 2 if i and not j else 1))
            in_channels = width
        stages.append(nn.Sequential(*stage))
    return nn.Sequential(*stages)


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of each group to all groups in turn.

    Args:
        x: (N, C, H, W), C a multiple of ``groups``.
        groups: Number of groups.

    Returns:
        (N, C, H, W); channel ``i * groups + g`` was channel i of group g.
    """
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
