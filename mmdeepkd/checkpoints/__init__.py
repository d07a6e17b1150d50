"""Checkpoints that are safe to read, and that plain torch reads.

Importing this room makes MMEngine read local files through
:func:`read_checkpoint`, by its public loader registry.
"""
from .admitted import UnsafeCheckpointError
from .encoding import decode_state, encode_state
from .loader import load_from_local
from .unpickler import read_checkpoint

__all__ = [
    'UnsafeCheckpointError', 'decode_state', 'encode_state',
    'load_from_local', 'read_checkpoint'
]
