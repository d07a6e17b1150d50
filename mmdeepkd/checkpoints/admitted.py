"""The classes and functions that a checkpoint may name, and set.

Anything that could run code, read a file or change a class stays out; where
a pickle names more than it needs, a stand-in here does just what it needs.
"""
import builtins
import collections
import ntpath
import posixpath
from typing import Any, Dict, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .arrays import (
    array_from_bytes,
    empty_array,
    plain_dtype,
    set_array_state,
    set_dtype_state,
)
from .rebuilding import (
    PLAIN_TENSOR,
    REBUILDERS,
    rebuild_with_attributes,
    set_attributes,
    set_tensor_state,
)
from .unsafe import UnsafeCheckpointError

_HISTORY_METHODS = ('min', 'max', 'mean', 'current', 'statistics')
_HISTORY_FIELDS = ('max_length', '_log_history', '_count_history')


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


def _empty_dict(*_: Any) -> Dict[Any, Any]:
    """Stand in for ``defaultdict``, whose factory is a function."""
    return {}


def _posix_path(*parts: str) -> str:
    """Stand in for ``pathlib.Path``: a str, on the other system too."""
    return posixpath.join(*parts) if parts else '.'


def _windows_path(*parts: str) -> str:
    return ntpath.join(*parts) if parts else '.'


_ADMITTED: Dict[Tuple[str, str], Any] = {
    ('builtins', 'getattr'): _history_method,
    ('mmengine.logging.history_buffer', 'HistoryBuffer'): HistoryBuffer,
    ('collections', 'Counter'): collections.Counter,
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('collections', 'defaultdict'): _empty_dict,
    ('collections', 'deque'): collections.deque,
    ('numpy', 'dtype'): plain_dtype,
    # Only ever an argument of _reconstruct.
    ('numpy', 'ndarray'): None,
    ('torch', 'Size'): torch.Size,
    ('torch', 'Tensor'): PLAIN_TENSOR,
    ('torch', 'device'): torch.device,
    ('torch._tensor', '_rebuild_from_type_v2'): rebuild_with_attributes,
    ('torch.nn.parameter', 'Parameter'): torch.nn.Parameter,
    ('torch.serialization', '_get_layout'): torch.serialization._get_layout,
    # A str that compares as a version.
    ('torch.torch_version', 'TorchVersion'): str,
    ('_codecs', 'encode'): _encode,
}
for _name in _HISTORY_METHODS:
    # Protocol 4 names them so, instead of calling getattr.
    _ADMITTED['mmengine.logging.history_buffer',
              f'HistoryBuffer.{_name}'] = _name
# numpy.core in numpy 1, numpy._core in numpy 2.
for _core in ('numpy.core', 'numpy._core'):
    _ADMITTED[f'{_core}.multiarray', '_reconstruct'] = empty_array
    _ADMITTED[f'{_core}.multiarray', 'scalar'] = np.float64(0).__reduce__()[0]
    _ADMITTED[f'{_core}.numeric', '_frombuffer'] = array_from_bytes
for _name in ('set', 'frozenset', 'bytearray', 'bytes', 'complex', 'range',
              'slice', 'list', 'dict', 'int', 'float', 'str', 'bool', 'tuple'):
    _ADMITTED['builtins', _name] = getattr(builtins, _name)
# As which a range is pickled for Python 2.
_ADMITTED['builtins', 'xrange'] = range
for _name in ('pathlib', 'pathlib._local'):
    for _kind in ('PosixPath', 'PurePosixPath'):
        _ADMITTED[_name, _kind] = _posix_path
    for _kind in ('WindowsPath', 'PureWindowsPath'):
        _ADMITTED[_name, _kind] = _windows_path
for _name, _rebuild in REBUILDERS.items():
    if hasattr(torch._utils, _name):
        _ADMITTED['torch._utils', _name] = _rebuild

_STORAGE_MODULES = {
    'torch': torch,
    'torch.cuda': torch.cuda,
    'torch.storage': torch.storage
}
# Not storages, which take a pointer: a file only names them.
_CALLABLE = {id(each) for each in _ADMITTED.values() if callable(each)}
_CREATABLE = (HistoryBuffer, torch.nn.Parameter, str)


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


def require_callable(function: Any) -> None:
    """Raise UnsafeCheckpointError unless a pickle may call what it named.

    Args:
        function: Something that the file named, or any other value of it.
    """
    if id(function) not in _CALLABLE:
        raise UnsafeCheckpointError(f'it calls {_name_of(function)}')


def require_creatable(kind: Any) -> None:
    """Raise UnsafeCheckpointError unless a pickle may create an instance.

    Args:
        kind: Something that the file named, or any other value of it.
    """
    if all(kind is not each for each in _CREATABLE):
        raise UnsafeCheckpointError(
            f'it creates an instance of {_name_of(kind)}')


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
        set_dtype_state(target, state)
    elif isinstance(target, np.ndarray):
        set_array_state(target, state)
    elif isinstance(target, torch.Tensor):
        set_tensor_state(target, state)
    elif isinstance(target, (collections.OrderedDict, collections.Counter)):
        set_attributes(target, state)
    else:
        raise UnsafeCheckpointError(f'it sets attributes of '
                                    f'{_name_of(target)}')


def _name_of(target: Any) -> str:
    kind = target if isinstance(target, type) else type(target)
    return f'{kind.__module__}.{kind.__name__}'
