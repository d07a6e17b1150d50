"""The momentum update over gradient streams, as a function."""
from typing import Any, List, Mapping, Sequence, Set, Tuple

import torch
from torch import Tensor

from .streams import PLAIN, Gradients, State, buffer_key, check_momentum

# The streams that carry the weight decay.
_DECAYED = ('task', PLAIN)


def momentum_step(params: Sequence[Tensor], grads: Mapping[str, Gradients],
                  group: Mapping[str, Any], state: State) -> None:
    r"""Advance every stream's buffer and move the parameters by their sum.

    .. math::
        v_s \leftarrow (\mu + o_s)\, v_s + (1 - d)\, g_s, \qquad
        p \leftarrow p - \eta \sum_s v_s

    Args:
        params: Parameters that share all hyper-parameters, each with a
            gradient in some stream.
        grads: ``{stream: gradients}`` in the order of ``params``; ``None``
            is a zero gradient. Not modified.
        group: ``lr``, ``momentum``, ``offsets``, ``weight_decay`` and
            ``dampening``.
        state: The optimizer's state; buffers appear in it when a stream
            first has a gradient.
    """
    begun = {id(p) for p in params if state.get(p)}
    # All buffers first: weight decay reads the pre-update parameter.
    updates = [
        _advance(stream, params, values, group, state, begun)
        for stream, values in grads.items()
    ]
    for moved, buffers in updates:
        if moved:
            torch._foreach_add_(moved, buffers, alpha=-float(group['lr']))


def _advance(stream: str, params: Sequence[Tensor], values: Gradients,
             group: Mapping[str, Any], state: State,
             begun: Set[int]) -> Tuple[List[Tensor], List[Tensor]]:
    """Advance one stream's buffers; return what moves, and by what."""
    momentum = check_momentum(stream, group)
    if stream in _DECAYED and group['weight_decay']:
        values = _decayed(params, values, group['weight_decay'])
    pairs = [(p, g) for p, g in zip(params, values) if g is not None]
    if momentum == 0:
        return [p for p, _ in pairs], [g for _, g in pairs]
    key, dampening = buffer_key(stream), group['dampening']
    held = [state[p][key] for p in params if key in state[p]]
    if held:
        torch._foreach_mul_(held, momentum)
    for param, _ in pairs:
        if key not in state[param]:
            state[param][key] = torch.zeros_like(param)
    # As torch, a parameter's first step is undamped, unless it is an EMA.
    ema = dampening == 'ema'
    for first in (False, True):
        damped = not first or ema
        factor = (momentum if ema else dampening) if damped else 0.0
        side = [(state[p][key], g) for p, g in pairs
                if (id(p) not in begun) == first]
        if side:
            torch._foreach_add_([v for v, _ in side], [g for _, g in side],
                                alpha=1 - factor)
    moved = [p for p in params if key in state[p]]
    return moved, [state[p][key] for p in moved]


def _decayed(params: Sequence[Tensor], values: Gradients,
             weight_decay: float) -> List[Tensor]:
    """Return the gradients plus weight decay, as new tensors."""
    filled = [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(params, values)
    ]
    return list(torch._foreach_add(filled, list(params), alpha=weight_decay))
