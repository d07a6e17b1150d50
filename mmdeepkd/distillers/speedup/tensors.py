"""The tensors in what a module takes and gives."""
import copy
import math
from collections.abc import MutableMapping
from itertools import zip_longest
from typing import Any, Callable, Iterator

import torch
from torch import Tensor

# The least that values are compared with: where ReLUs leave nothing but
# zeros, rounding is not a multiple of them.
_SMALLEST = 1e-3


def map_tensors(fn: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value with every tensor in it replaced.

    Args:
        fn: Gives a tensor for a tensor.
        value: Tensors in tuples, lists and dicts; whatever else is in them
            stays.
    """
    if isinstance(value, Tensor):
        return fn(value)
    if isinstance(value, tuple):
        items = [map_tensors(fn, item) for item in value]
        # A named tuple takes its fields one by one.
        return type(value)(*items) if hasattr(value, '_fields') else tuple(
            items)
    if isinstance(value, list):
        return [map_tensors(fn, item) for item in value]
    if isinstance(value, MutableMapping):
        # A copy keeps its class: the outputs of transformers are dicts too.
        result = copy.copy(value)
        for key, item in value.items():
            result[key] = map_tensors(fn, item)
        return result
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value.

    Args:
        value: As of :func:`map_tensors`.
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, MutableMapping):
        for item in value.values():
            yield from tensors_in(item)


def channels_last(tensor: Tensor) -> Tensor:
    """Return a tensor in channels_last, if it can be.

    Args:
        tensor: Of any shape.
    """
    if tensor.dim() != 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def device_type(value: Any) -> str:
    """Return where the tensors in a value are, such as ``'cpu'``.

    Args:
        value: As of :func:`map_tensors`, with a tensor.
    """
    return next(tensors_in(value)).device.type


def relative_difference(expected: Any, found: Any) -> float:
    """Return max |a - b| / max |a|, the largest of all floating tensors.

    Args:
        expected: Tensors a, as of :func:`map_tensors`.
        found: Tensors b.

    Returns:
        NaN or infinity where a value is not finite, infinity where number or
        shapes of the tensors are not the same.
    """
    pairs = list(zip_longest(_floating(expected), _floating(found)))
    if any(a is None or b is None or a.shape != b.shape for a, b in pairs):
        return math.inf
    worst = 0.0
    for a, b in pairs:
        if not a.numel():
            continue
        # Coarser types would round the difference itself.
        dtype = a.dtype if torch.finfo(a.dtype).bits >= 32 else torch.float32
        a = a.to(dtype)
        error = float((a - b.to(dtype)).abs_().max())
        value = error / max(float(a.abs().max()), _SMALLEST)
        # NaN compares with nothing: keep the first.
        if not value <= worst and not math.isnan(worst):
            worst = value
    return worst


def _floating(value: Any) -> Iterator[Tensor]:
    return (t for t in tensors_in(value) if t.is_floating_point())
