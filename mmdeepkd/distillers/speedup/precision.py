"""What a part of a teacher computes in."""
from contextlib import nullcontext
from typing import Any, ContextManager

import torch

from .options import Speedup


def full_precision(device: str, speedup: Speedup) -> ContextManager[Any]:
    """Return a context without the autocast that may be around it.

    Args:
        device: Its type, such as ``'cpu'``; torch has no autocast for each.
        speedup: Whether it asks for an autocast of its own.
    """
    if speedup.amp is None and not _autocast_is_on(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _autocast_is_on(device: str) -> bool:
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:
        # Before torch 2.4 each device has a function of its own.
        return torch.is_autocast_cpu_enabled() if device == 'cpu' else (
            torch.is_autocast_enabled())
