"""The classes and functions that a checkpoint may name, and set.

Anything that could run code, read a file or change a class stays out; where
a pickle names more than it needs, a stand-in here does just what it needs.
"""
import builtins
import collections
import pickle
from typing import Any, Dict, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_HISTORY_METHODS = ('min', 'max', 'mean', 'current', 'statistics')
_HISTORY_FIELDS = ('max_length', '_log_history', '_count_history')

# Numbers and strings; an object array could hold anything.
_ARRAY_KINDS = 'biufcSU'


class UnsafeCheckpointError(pickle.UnpicklingError):
    """A checkpoint asks for something that is neither data nor harmless."""


def _history_method(owner: Any, name: str) -> str:
    """Stand in for ``builtins.getattr``, which HistoryBuffer pickles."""
    if owner is HistoryBuffer and name in _HISTORY_METHODS:
        # Dropped again: HistoryBuffer knows its own methods.
        return name
    raise UnsafeCheckpointError(
        f'it asks for the attribute {name!r} of {owner!r}')


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, as which Python 2 pickles bytes."""
    if encoding not in ('latin1', 'latin-1'):
        raise UnsafeCheckpointError(f'it asks for the codec {encoding!r}')
    return text.encode('latin1')


def _dtype(code: str, *_: Any) -> 'np.dtype[Any]':
    """Stand in for ``numpy.dtype``; returns a copy, as states are set."""
    dtype = np.dtype(code, copy=True)
    if dtype.kind not in _ARRAY_KINDS:
        raise UnsafeCheckpointError(f'it asks for the numpy dtype {code!r}')
    return dtype


def _array(*_: Any) -> 'np.ndarray[Any, Any]':
    """Stand in for numpy's ``_reconstruct``: the state sets all the rest."""
    return np.empty(0)


_ADMITTED: Dict[Tuple[str, str], Any] = {
    ('builtins', 'getattr'): _history_method,
    ('mmengine.logging.history_buffer', 'HistoryBuffer'): HistoryBuffer,
    ('collections', 'Counter'): collections.Counter,
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('collections', 'deque'): collections.deque,
    ('numpy', 'dtype'): _dtype,
    # Only ever an argument of _reconstruct.
    ('numpy', 'ndarray'): None,
    ('torch', 'Size'): torch.Size,
    ('torch', 'device'): torch.device,
    ('torch.nn.parameter', 'Parameter'): torch.nn.Parameter,
    ('torch.serialization', '_get_layout'): torch.serialization._get_layout,
    ('_codecs', 'encode'): _encode,
}
# numpy.core in numpy 1, numpy._core in numpy 2.
for _core in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _ADMITTED[_core, '_reconstruct'] = _array
    _ADMITTED[_core, 'scalar'] = np.float64(0).__reduce__()[0]
for _name in ('set', 'frozenset', 'bytearray', 'bytes', 'complex', 'range',
              'slice'):
    _ADMITTED['builtins', _name] = getattr(builtins, _name)
# As which a range is pickled for Python 2.
_ADMITTED['builtins', 'xrange'] = range
for _name in ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3',
              '_rebuild_parameter', '_rebuild_parameter_with_state',
              '_rebuild_sparse_tensor', '_rebuild_qtensor'):
    if hasattr(torch._utils, _name):
        _ADMITTED['torch._utils', _name] = getattr(torch._utils, _name)

_STORAGE_MODULES = {
    'torch': torch,
    'torch.cuda': torch.cuda,
    'torch.storage': torch.storage
}


def admitted_global(module: str, name: str) -> Any:
    """Return what a pickle names, or what stands in for it.

    Args:
        module: Module, with Python 2's ``__builtin__`` for ``builtins``.
        name: Name in it.

    Raises:
        UnsafeCheckpointError: It is not admitted.
    """
    module = 'builtins' if module == '__builtin__' else module
    if (module, name) in _ADMITTED:
        return _ADMITTED[module, name]
    found = getattr(_STORAGE_MODULES.get(module), name, None)
    if isinstance(found, (torch.dtype, torch.qscheme)):
        return found
    if isinstance(found, type) and name.endswith('Storage'):
        return found
    raise UnsafeCheckpointError(f'it asks for {module}.{name}')


def set_state(target: Any, state: Any) -> None:
    """Give an unpickled object its state.

    Args:
        target: The object.
        state: From the file.

    Raises:
        UnsafeCheckpointError: It is not an instance of a class that has a
            state here, or not a state of that class.
    """
    if isinstance(target, HistoryBuffer):
        # Its own __setstate__ would put functions of the file into a dict
        # that all histories share.
        target.__setstate__({name: state[name] for name in _HISTORY_FIELDS})
    elif isinstance(target, np.dtype):
        if state[2:5] != (None, None, None):
            raise UnsafeCheckpointError('it asks for a numpy record dtype')
        target.__setstate__(state)
    elif isinstance(target, (np.ndarray, torch.Tensor)):
        target.__setstate__(state)
    elif isinstance(target, (collections.OrderedDict, collections.Counter)) \
            and isinstance(state, dict):
        target.__dict__.update(state)
    else:
        kind = target if isinstance(target, type) else type(target)
        raise UnsafeCheckpointError(
            f'it sets attributes of {kind.__module__}.{kind.__name__}')
