"""Torch's functions that rebuild tensors, on what they may be trusted with.

A tensor is a view of a storage. Sizes and strides come from the file, and
with them the view could reach memory that is not the storage's.
"""
import math
import pickle
from typing import Any, Callable, Dict

import torch

from .unsafe import UnsafeCheckpointError

# What a pickle names torch.Tensor for, as which type to rebuild; not to call.
PLAIN_TENSOR = 'torch.Tensor'


def require_view(storage: Any, offset: Any, size: Any, stride: Any,
                 itemsize: int) -> None:
    """Raise unless a view stays within its storage.

    Args:
        storage: The storage.
        offset: Number of elements before the view.
        size: Of the view.
        stride: In elements.
        itemsize: Bytes of an element.

    Raises:
        UnpicklingError: It does not.
    """
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(
            type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError('a tensor without a proper shape')
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    end = last + 1 if all(size) else offset
    held = storage._untyped_storage.nbytes()
    # What repeats elements, with a stride of 0, has more than it holds.
    if end * itemsize > held or math.prod(
            n for n in size if n) * itemsize >= 2**63:
        raise pickle.UnpicklingError(
            f'a tensor of {held} bytes has the shape {tuple(size)}')


def set_attributes(target: Any, state: Any) -> None:
    """Set attributes that the class of the target does not have.

    Args:
        target: The object.
        state: The attributes by name, or that and None (no slots).

    Raises:
        UnsafeCheckpointError: One has a meaning to the class or, as
            ``__array_interface__`` has, to Python or numpy.
    """
    if isinstance(state, tuple) and len(state) == 2 and not state[1]:
        state = state[0]
    if not isinstance(state, dict) or any(
            not isinstance(name, str) or name.startswith('__')
            or hasattr(type(target), name) for name in state):
        kind = type(target)
        raise UnsafeCheckpointError(
            f'it sets attributes of {kind.__module__}.{kind.__name__}')
    target.__dict__.update(state)


def set_tensor_state(tensor: torch.Tensor, state: Any) -> None:
    """Give a tensor the state that torch before 0.4 saved.

    Args:
        tensor: The tensor.
        state: Storage, offset, size and strides.

    Raises:
        UnpicklingError: It reaches beyond the storage, or is another state.
    """
    if not isinstance(state, tuple) or len(state) != 4:
        raise pickle.UnpicklingError('a tensor without a proper state')
    require_view(*state, state[0]._element_size())
    tensor.__setstate__(state)


def _dense(storage: Any, offset: Any, size: Any, stride: Any,
           *rest: Any) -> torch.Tensor:
    require_view(storage, offset, size, stride, storage._element_size())
    if len(rest) < 2:
        return torch._utils._rebuild_tensor(storage, offset, size, stride)
    requires_grad, _, *metadata = rest
    return torch._utils._rebuild_tensor_v2(
        storage, offset, size, stride, requires_grad, None, *metadata)


def _typed(storage: Any, offset: Any, size: Any, stride: Any,
           requires_grad: bool, hooks: Any, dtype: torch.dtype,
           *metadata: Any) -> torch.Tensor:
    require_view(storage, offset, size, stride,
                 torch._utils._element_size(dtype))
    return torch._utils._rebuild_tensor_v3(
        storage, offset, size, stride, requires_grad, None, dtype, *metadata)


def _quantized(storage: Any, offset: Any, size: Any, stride: Any,
               parameters: Any, requires_grad: bool,
               hooks: Any) -> torch.Tensor:
    require_view(storage, offset, size, stride, storage._element_size())
    return torch._utils._rebuild_qtensor(
        storage, offset, size, stride, parameters, requires_grad, None)


def _parameter(data: torch.Tensor, requires_grad: bool, hooks: Any,
               state: Any = None) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(data, requires_grad)
    set_attributes(parameter, state or {})
    return parameter


def rebuild_with_attributes(rebuild: Any, kind: Any, args: Any,
                            state: Any) -> torch.Tensor:
    """Stand in for what rebuilds a tensor that has attributes."""
    if kind != PLAIN_TENSOR or all(
            rebuild is not known for known in REBUILDERS.values()):
        raise UnsafeCheckpointError('it asks for a tensor of another class')
    tensor = rebuild(*args)
    set_attributes(tensor, state or {})
    return tensor


# By their names in torch._utils.
REBUILDERS: Dict[str, Callable[..., torch.Tensor]] = {
    '_rebuild_tensor': _dense,
    '_rebuild_tensor_v2': _dense,
    '_rebuild_tensor_v3': _typed,
    '_rebuild_qtensor': _quantized,
    # The reader has torch check its indices, when all storages are read.
    '_rebuild_sparse_tensor': torch._utils._rebuild_sparse_tensor,
    '_rebuild_parameter': _parameter,
    '_rebuild_parameter_with_state': _parameter,
}
