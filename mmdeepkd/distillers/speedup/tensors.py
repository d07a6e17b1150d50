"""The tensors in what a module takes and gives."""
import copy
import math
from collections.abc import MutableMapping
from typing import Any, Callable, Iterator

from torch import Tensor


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


def relative_difference(expected: Any, found: Any) -> float:
    """Return max |a - b| / max |a|, the largest of all floating tensors.

    Args:
        expected: Tensors a, as of :func:`map_tensors`.
        found: Tensors b of the same structure.

    Returns:
        NaN or infinity where a value is not finite, or a is 0 and b is not.
    """
    worst = 0.0
    for a, b in zip(tensors_in(expected), tensors_in(found)):
        if not a.is_floating_point() or not a.numel():
            continue
        error = float((a.double() - b.double()).abs().max())
        scale = float(a.double().abs().max())
        value = error / scale if scale else error and math.inf
        # NaN compares with nothing: keep the first.
        if not value <= worst and not math.isnan(worst):
            worst = value
    return worst
