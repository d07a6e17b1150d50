"""The diffusion models: they predict the noise in a feature."""
from typing import Union

from torch import Tensor, nn

from .bottleneck import Bottleneck

# Rows of the published table; those of the 1000 time steps are used.
_EMBEDDINGS = 1280


class _Denoiser(nn.Module):
    """Adds an embedding of the time step, then applies its layers."""

    def __init__(self, channels: int, layers: nn.Sequential) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_EMBEDDINGS, channels)
        self.layers = layers

    def forward(self, sample: Tensor, timestep: Union[int, Tensor]) -> Tensor:
        """Return the predicted noise.

        Args:
            sample: Noisy features of shape (N, c, H, W).
            timestep: Of all samples, or int64 of shape (N,), one of each.

        Returns:
            Of the same shape.
        """
        if isinstance(timestep, int):
            # A row of the table: no tensor of indices, of which each step
            # would need one on the device.
            embedding = self.embedding.weight[timestep].unsqueeze(0)
        else:
            embedding = self.embedding(timestep)
        return self.layers(sample + embedding[:, :, None, None])


class MapDenoiser(_Denoiser):
    """The diffusion model of DiffKD for feature maps: two bottlenecks.

    Of "Knowledge Diffusion for Distillation" (Huang et al. 2023).

    Args:
        channels: c of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            channels,
            nn.Sequential(
                Bottleneck(channels, 4), Bottleneck(channels, 4),
                nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels)))


class LogitsDenoiser(_Denoiser):
    """The diffusion model of DiffKD for logits: 1x1 convolutions.

    Args:
        channels: C of the logits.
    """

    def __init__(self, channels: int) -> None:
        wide = 4 * channels
        super().__init__(
            channels,
            nn.Sequential(
                nn.Conv2d(channels, wide, 1), nn.BatchNorm2d(wide), nn.ReLU(),
                nn.Conv2d(wide, channels, 1), nn.BatchNorm2d(channels),
                nn.Conv2d(channels, wide, 1), nn.BatchNorm2d(wide), nn.ReLU(),
                nn.Conv2d(wide, channels, 1)))
