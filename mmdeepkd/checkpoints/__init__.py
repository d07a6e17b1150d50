"""Checkpoints that are safe to read, and that plain torch reads.

Importing this room makes MMEngine read files, of every scheme that it knows,
through :func:`read_checkpoint`, by its public loader registry.
"""
from .encoding import decode_state, encode_state
from .generators import random_state, set_random_state
from .load_check import require_match, watch_pretrained
from .load_report import LoadReport, compare_tensors, few, strip_wrapper
from .loader import (
    load_from_ceph,
    load_from_http,
    load_from_local,
    load_from_mmcls,
    load_from_openmmlab,
    load_from_pavi,
    load_from_torchvision,
)
from .reading import read_checkpoint
from .tensors import tensors_of
from .unsafe import UnsafeCheckpointError

__all__ = [
    'LoadReport', 'UnsafeCheckpointError', 'compare_tensors',
    'decode_state', 'encode_state', 'few', 'load_from_ceph',
    'load_from_http', 'load_from_local', 'load_from_mmcls',
    'load_from_openmmlab', 'load_from_pavi', 'load_from_torchvision',
    'random_state', 'read_checkpoint', 'require_match', 'set_random_state',
    'strip_wrapper', 'tensors_of', 'watch_pretrained'
]
