"""A small dense part of a teacher, and its faster twin."""
from collections import namedtuple

import torch
from torch import nn

from mmdeepkd.distillers.speedup import AcceleratedModule, Speedup

OFF = Speedup(channels_last=False, fold_bn=False)
Levels = namedtuple('Levels', 'low high')


class Dense(nn.Module):
    """A convolution, a BatchNorm and a product with a matrix."""

    stride = 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        self.bn.running_mean.normal_()
        self.bn.running_var.uniform_(0.5, 2)
        self.seen = []

    def features(self, x):
        return self.bn(self.conv(x)).relu()

    def forward(self, x, scale=1):
        maps = self.features(x)
        self.seen.append((maps.dtype, maps.is_contiguous()))
        return Levels(maps * scale, self.fc(maps.mean((2, 3))))


def accelerated(speedup, inner=None, contiguous=True):
    inner = (inner or Dense()).eval().requires_grad_(False)
    return AcceleratedModule(inner, 'backbone', speedup, contiguous).eval()


def images(size=6, **kwargs):
    return torch.randn(
        2, 3, size, size, generator=torch.Generator().manual_seed(1),
        **kwargs)
