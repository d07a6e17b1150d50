"""The states of a process's random generators, as data."""
import random
from typing import Any, Dict

import numpy as np
import torch

from .encoding import decode_state, encode_state


def random_state() -> Dict[str, Any]:
    """Return the states of this process's random generators.

    Returns:
        Tensors and plain containers: torch's generators (the CPU's and those
        of all visible GPUs), numpy's and Python's.
    """
    state, _ = encode_state(
        dict(
            torch=torch.get_rng_state(),
            cuda=torch.cuda.get_rng_state_all()
            if torch.cuda.is_available() else [],
            numpy=np.random.get_state(legacy=False),
            python=random.getstate()))
    return state


def set_random_state(state: Dict[str, Any]) -> None:
    """Put this process's random generators into a state.

    Args:
        state: From :func:`random_state`, here or in another process, on any
            device. Its GPUs are matched by their number; what one process
            has more of stays as it is.
    """
    state = decode_state(state)
    torch.set_rng_state(state['torch'].cpu())
    for device, gpu_state in zip(_gpus(), state['cuda']):
        torch.cuda.set_rng_state(gpu_state.cpu(), device)
    np.random.set_state(state['numpy'])
    random.setstate(state['python'])


def _gpus() -> range:
    return range(torch.cuda.device_count())
