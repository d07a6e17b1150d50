"""MMEngine's training state as tensors and plain containers, and back.

MMEngine saves its log histories and schedulers as Python objects, so that
``torch.load`` on its safe default refuses the file. Encoded, the same
content is data that any program may read.
"""
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .arrays import ARRAY_KINDS, array_from_bytes, plain_dtype
from .unsafe import UnsafeCheckpointError

# Marks an encoded object; its value names the class.
_MARK = '__mmdeepkd__'
_PLAIN = (type(None), bool, int, float, str, torch.Size, torch.dtype)
# Data as well, but torch 2.1 refuses them.
_HALF_PLAIN = (bytes, complex, torch.device)
# What the decoders raise on fields that no encoder wrote.
_NOT_DECODED = (ArithmeticError, AssertionError, AttributeError, LookupError,
                RuntimeError, TypeError, ValueError, UnsafeCheckpointError)


def encode_state(value: Any) -> Tuple[Any, List[str]]:
    """Replace MMEngine's objects by tensors and plain containers.

    Args:
        value: Nested containers, such as a whole checkpoint.

    Returns:
        The encoded value (the input is not modified, tensors are shared), and
        the places, such as ``'meta.x: Foo'``, of objects that are neither
        plain nor known here and were left as they are.
    """
    unknown: List[str] = []
    return _encode(value, '', unknown), unknown


def decode_state(value: Any) -> Any:
    """Undo :func:`encode_state`.

    Args:
        value: Nested containers; what was never encoded passes unchanged.

    Returns:
        The same with MMEngine's objects restored.

    Raises:
        UnsafeCheckpointError: What is marked as one of them is none. Files
            that ``torch.load`` calls safe may hold it.
    """
    if isinstance(value, dict):
        decoded = {k: decode_state(v) for k, v in value.items()}
        if _MARK in decoded:
            return _decode(decoded.pop(_MARK), decoded)
        return _rebuild(value, decoded)
    if type(value) in (list, tuple):
        return type(value)(decode_state(v) for v in value)
    return value


def _encode(value: Any, place: str, unknown: List[str]) -> Any:
    # Exact types: torch.load refuses a subclass of str as it does any class.
    if isinstance(value, torch.Tensor) or type(value) in _PLAIN:
        return value
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return {
            _MARK: 'HistoryBuffer',
            'history': _encode_array(np.asarray(history)),
            'counts': _encode_array(np.asarray(counts)),
            'max_length': value.max_length,
        }
    if type(value) in _HALF_PLAIN:
        return _encode_half_plain(value)
    if isinstance(value, np.generic) and type(value.item()) in (
            *_PLAIN, *_HALF_PLAIN):
        return _encode(value.item(), place, unknown)
    if type(value) is np.ndarray and value.dtype.kind in ARRAY_KINDS:
        return {_MARK: 'ndarray', **_encode_array(value)}
    if isinstance(value, dict):
        # A Counter (MultiStepLR's milestones) too: as a dict it serves the
        # scheduler as well, also where nothing decodes it.
        encoded = {
            k.item() if isinstance(k, np.generic) else k: _encode(
                v, f'{place}.{k}', unknown)
            for k, v in value.items()
        }
        return _rebuild(value, encoded)
    if type(value) in (list, tuple):
        return type(value)(
            _encode(v, f'{place}[{i}]', unknown) for i, v in enumerate(value))
    unknown.append(f'{place.lstrip(".")}: {type(value).__name__}')
    return value


def _rebuild(original: Dict[Any, Any], items: Dict[Any, Any]) -> Any:
    """Return items in an OrderedDict (with its metadata) or a dict."""
    if not hasattr(original, '_metadata'):
        return items
    rebuilt = type(original)(items)
    rebuilt._metadata = original._metadata  # type: ignore[attr-defined]
    return rebuilt


def _encode_half_plain(value: Any) -> Dict[str, Any]:
    if isinstance(value, bytes):
        return {_MARK: 'bytes', 'bytes': _encode_bytes(value)}
    if isinstance(value, complex):
        return {_MARK: 'complex', 'parts': (value.real, value.imag)}
    return {_MARK: 'device', 'name': str(value)}


def _encode_bytes(value: bytes) -> torch.Tensor:
    return torch.from_numpy(
        np.ndarray(len(value), np.uint8, bytearray(value)))


def _decode_bytes(fields: Dict[str, Any]) -> bytes:
    # MMEngine resumes onto the device it trains on.
    return fields['bytes'].cpu().numpy().tobytes()


def _decode_complex(fields: Dict[str, Any]) -> complex:
    return complex(*fields['parts'])


def _decode_device(fields: Dict[str, Any]) -> torch.device:
    return torch.device(fields['name'])


def _decode(mark: Any, fields: Dict[str, Any]) -> Any:
    if not isinstance(mark, str) or mark not in _DECODERS:
        raise UnsafeCheckpointError(
            f'the checkpoint marks something as {mark!r}, which this version '
            'of mmdeepkd does not know: update mmdeepkd, or give a checkpoint '
            'that it wrote.')
    try:
        return _DECODERS[mark](fields)
    except _NOT_DECODED as error:
        detail = str(error) or type(error).__name__
        raise UnsafeCheckpointError(
            f'the checkpoint is damaged, or not what mmdeepkd wrote: what it '
            f'marks as {mark} is none ({detail}); give another '
            'checkpoint.') from error


def _encode_array(array: np.ndarray) -> Dict[str, Any]:
    # As bytes: torch has not every dtype of numpy, on every version.
    return {
        'dtype': array.dtype.str,
        'shape': list(array.shape),
        'bytes': _encode_bytes(array.tobytes())
    }


def _decode_array(fields: Dict[str, Any]) -> np.ndarray:
    return array_from_bytes(
        _decode_bytes(fields), plain_dtype(fields['dtype']), fields['shape'])


def _decode_history(fields: Dict[str, Any]) -> HistoryBuffer:
    return HistoryBuffer(
        _decode_array(fields['history']).tolist(),
        _decode_array(fields['counts']).tolist(),
        max_length=fields['max_length'])


_DECODERS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    'HistoryBuffer': _decode_history,
    'ndarray': _decode_array,
    'bytes': _decode_bytes,
    'complex': _decode_complex,
    'device': _decode_device,
}
