"""The dtype of mixed precision and the scaler that it needs."""
from typing import Any, Dict, Union

import torch

# torch < 2.3 has a gradient scaler for CUDA only.
_SCALES_ON_CPU = hasattr(torch.amp, 'GradScaler')

_DTYPES = dict(float16=torch.float16, bfloat16=torch.bfloat16)


def resolve_dtype(dtype: Union[None, str, torch.dtype],
                  device: str) -> torch.dtype:
    """Return the dtype of autocast.

    Args:
        dtype: Or its name; None means float16 on CUDA and bfloat16 elsewhere.
        device: Type of the device.

    Raises:
        ValueError: It is another dtype, or float16 on the CPU with
            torch < 2.3.
    """
    if dtype is None:
        return torch.float16 if device == 'cuda' else torch.bfloat16
    resolved = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if resolved not in _DTYPES.values():
        raise ValueError("AmpDeepKDOptimWrapper's dtype must be 'float16' or "
                         f"'bfloat16', got {dtype!r}.")
    if resolved is torch.float16 and device == 'cpu' and not _SCALES_ON_CPU:
        raise ValueError(
            'float16 on the CPU needs torch >= 2.3 (there is no gradient '
            "scaler for it before): use dtype='bfloat16'.")
    return resolved  # type: ignore[return-value]


def build_scaler(device: str, loss_scale: Union[str, float, Dict[str, Any]],
                 enabled: bool) -> Any:
    """Return torch's scaler.

    Args:
        device: Type of the device.
        loss_scale: ``'dynamic'``, a number or the scaler's arguments.
        enabled: Whether it scales.

    Raises:
        TypeError: loss_scale is of another type.
    """
    if loss_scale == 'dynamic':
        settings: Dict[str, Any] = {}
    elif isinstance(loss_scale, (int, float)):
        settings = dict(init_scale=float(loss_scale))
    elif isinstance(loss_scale, dict):
        settings = dict(loss_scale)
    else:
        raise TypeError("loss_scale must be 'dynamic', a number or a dict of "
                        f"GradScaler's arguments, got {loss_scale!r}.")
    if _SCALES_ON_CPU:
        return torch.amp.GradScaler(  # type: ignore[attr-defined]
            device, enabled=enabled, **settings)
    return torch.cuda.amp.GradScaler(enabled=enabled, **settings)
