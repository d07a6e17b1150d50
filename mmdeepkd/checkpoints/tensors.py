"""The tensors of a checkpoint, wherever in the file they are."""
from typing import Any, Dict

import torch

# What a module keeps beside tensors, by nn.Module.get_extra_state.
_EXTRA_STATE = '_extra_state'


def tensors_of(loaded: Any, source: str) -> Dict[str, Any]:
    """Return the tensors of a checkpoint by name.

    They are those of the entry ``state_dict``, else of the entry ``model``
    (the DeiT repository's) if it is a dict, else the file's own.

    Args:
        loaded: The checkpoint; it is not modified, nor copied.
        source: Its name, for messages.

    Returns:
        The dict in the file. Beside tensors it may hold what modules keep
        with ``get_extra_state``, under names that end with ``_extra_state``.

    Raises:
        RuntimeError: These are no tensors by name.
    """
    place, state = source, loaded
    if isinstance(loaded, dict):
        if 'state_dict' in loaded:
            place, state = f"{source}['state_dict']", loaded['state_dict']
        elif isinstance(loaded.get('model'), dict):
            place, state = f"{source}['model']", loaded['model']
    if not isinstance(state, dict):
        raise RuntimeError(f'{place} is {_kind(state)}, not a dict of '
                           'tensors: give a checkpoint of a training.')
    for name, value in state.items():
        if not isinstance(name, str):
            raise RuntimeError(
                f'{place} has {name!r} for the name of a tensor, '
                f'{_kind(name)}: give a checkpoint of a training.')
        if not isinstance(value, torch.Tensor) and not _is_extra(name):
            raise RuntimeError(
                f'{place} holds {_kind(value)} as {name!r}, not a tensor: '
                'save the tensors alone, as the entry state_dict.')
    return state


def _is_extra(name: str) -> bool:
    return name.split('.')[-1] == _EXTRA_STATE


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f'{"an" if name[0] in "aeiouAEIOU" else "a"} {name}'
