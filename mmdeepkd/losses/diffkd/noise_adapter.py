"""The noise adapters: how much noise a student's feature still needs."""
from torch import Tensor, nn

from mmdeepkd.functional.inputs import upcast

from .bottleneck import Bottleneck


class _NoiseAdapter(nn.Module):
    """Pools the features of its layers and chooses between two gates."""

    def __init__(self, channels: int, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.gates = nn.Linear(channels, 2)

    def forward(self, feature: Tensor) -> Tensor:
        """Return gamma, the share of the feature that is kept.

        Args:
            feature: Of shape (N, c, H, W).

        Returns:
            Of shape (N,), in [0, 1], float32 or wider.
        """
        pooled = self.layers(feature).mean(dim=(2, 3))
        return upcast(self.gates(pooled)).softmax(dim=1)[:, 0]


class MapNoiseAdapter(_NoiseAdapter):
    """The noise adapter of DiffKD for feature maps: a bottleneck.

    The adaptive noise matching of "Knowledge Diffusion for Distillation"
    (Huang et al. 2023).

    Args:
        channels: c of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, Bottleneck(channels, 8))


class LogitsNoiseAdapter(_NoiseAdapter):
    """The noise adapter of DiffKD for logits: 1x1 convolutions.

    Args:
        channels: C of the logits.
    """

    def __init__(self, channels: int) -> None:
        wide = 2 * channels
        super().__init__(
            channels,
            nn.Sequential(
                nn.Conv2d(channels, wide, 1), nn.BatchNorm2d(wide), nn.ReLU(),
                nn.Conv2d(wide, channels, 1), nn.BatchNorm2d(channels)))
