"""The linear auto-encoder that the diffusion model works in."""
from typing import Tuple

from torch import Tensor, nn


class LinearAutoEncoder(nn.Module):
    """Encodes the teacher's maps in fewer channels, without non-linearity.

    "Knowledge Diffusion for Distillation" (Huang et al. 2023) has it to make
    the diffusion model cheaper. Its own reconstruction alone trains it.

    Args:
        channels: C of the teacher's map.
        code_channels: c of the code.
    """

    def __init__(self, channels: int, code_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, code_channels, 1),
            nn.BatchNorm2d(code_channels))
        self.decoder = nn.Conv2d(code_channels, channels, 1)

    def forward(self, feature: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the code, (N, c, H, W), and the map that it decodes to."""
        code = self.encoder(feature)
        return code, self.decoder(code)
