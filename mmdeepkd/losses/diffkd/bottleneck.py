"""The residual block of DiffKD's networks on maps."""
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, added to its input.

    As the bottleneck of a ResNet, but with no ReLU after the sum and with
    biases.

    Args:
        channels: C of the input and of the output.
        reduction: What the width of the 3x3 convolution is divided by; it is
            at least 1.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        width = max(1, channels // reduction)
        self.block = nn.Sequential(
            nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width),
            nn.ReLU(), nn.Conv2d(width, channels, 1),
            nn.BatchNorm2d(channels))

    def forward(self, feature: Tensor) -> Tensor:
        """Return the block's output, (N, C, H, W) as its input."""
        return feature + self.block(feature)
