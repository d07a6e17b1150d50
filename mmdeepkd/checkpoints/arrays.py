"""Numpy arrays out of a file, which must not become anything else.

An array is its bytes only while its dtype says so: one of objects makes
pointers of them, and one that grows reads and writes beyond them.
"""
import math
from typing import Any, Sequence

import numpy as np

from .unsafe import UnsafeCheckpointError

# Numbers and strings: arrays that are nothing but their bytes.
ARRAY_KINDS = 'biufcSU'


def plain_dtype(code: Any, *_: Any) -> 'np.dtype[Any]':
    """Return the dtype of numbers or strings that a file names.

    Stands in for ``numpy.dtype``; a copy, as states are set.

    Args:
        code: Such as ``'f8'``.

    Raises:
        UnsafeCheckpointError: It is another dtype, or not named by a str.
    """
    dtype = np.dtype(code, copy=True) if isinstance(code, str) else None
    if dtype is None or not _is_plain(dtype):
        raise UnsafeCheckpointError(f'it asks for the numpy dtype {code!r}')
    return dtype


def set_dtype_state(dtype: 'np.dtype[Any]', state: Any) -> None:
    """Give a dtype the byte order of its state; the rest must be its own.

    Args:
        dtype: From :func:`plain_dtype`.
        state: As ``numpy.dtype.__reduce__`` returns it.

    Raises:
        UnsafeCheckpointError: It changes more than the order.
    """
    own = dtype.__reduce__()[2]
    orders = '|' if own[1] == '|' else '<>'
    if not isinstance(state, tuple) or len(state) != len(own) or not (
            isinstance(state[1], str) and state[1] in tuple(orders)) or (
            (state[0], *state[2:]) != (own[0], *own[2:])):
        raise UnsafeCheckpointError(
            f'it asks for another numpy dtype in the place of {dtype.str!r}')
    dtype.__setstate__(state)


def empty_array(*_: Any) -> 'np.ndarray[Any, Any]':
    """Stand in for numpy's ``_reconstruct``: the state sets all the rest."""
    return np.empty(0)


def set_array_state(array: 'np.ndarray[Any, Any]', state: Any) -> None:
    """Give an array from :func:`empty_array` its shape, dtype and bytes.

    Args:
        array: The array.
        state: As ``numpy.ndarray.__reduce__`` returns it.

    Raises:
        UnsafeCheckpointError: Its parts do not fit each other.
    """
    _, shape, dtype, _, raw = state
    _require_fit(shape, dtype, raw)
    array.__setstate__(state)


def array_from_bytes(raw: Any, dtype: Any, shape: Any,
                     order: str = 'C') -> 'np.ndarray[Any, Any]':
    """Return an array that has its own copy of some bytes.

    Stands in for numpy's ``_frombuffer``, too.

    Args:
        raw: The bytes.
        dtype: From :func:`plain_dtype`.
        shape: Of the array.
        order: ``'C'`` or ``'F'``.

    Raises:
        UnsafeCheckpointError: These do not fit each other.
    """
    _require_fit(shape, dtype, raw)
    return np.ndarray(tuple(shape), dtype, bytearray(raw), order=order)


def _require_fit(shape: Sequence[Any], dtype: Any, raw: Any) -> None:
    if not isinstance(dtype, np.dtype) or not _is_plain(dtype) \
            or not isinstance(raw, (bytes, bytearray)) \
            or not all(type(n) is int and n >= 0 for n in shape) \
            or math.prod(shape) * dtype.itemsize != len(raw):
        raise UnsafeCheckpointError(
            'it asks for a numpy array of other bytes than it holds')


def _is_plain(dtype: 'np.dtype[Any]') -> bool:
    return (dtype.kind in ARRAY_KINDS and not dtype.hasobject
            and dtype.names is None and dtype.subdtype is None)
