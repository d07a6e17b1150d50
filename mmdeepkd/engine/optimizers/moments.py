"""AdamW's update over gradient streams, as a function."""
from typing import Any, List, Mapping, Sequence

import torch
from torch import Tensor

from .streams import (
    Gradients,
    State,
    buffer_key,
    check_momentum,
    gradient_sum,
)

# AdamW's first moment, one per stream, as torch calls it.
FIRST = 'exp_avg'


def adamw_step(params: Sequence[Tensor], grads: Mapping[str, Gradients],
               group: Mapping[str, Any], state: State) -> None:
    r"""Advance all moments and move the parameters.

    .. math::
        m_s \leftarrow b_s m_s + (1 - b_s)\, g_s, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) \Big(\sum_s g_s\Big)^2, \qquad
        b_s = \beta_1 + o_s

    .. math::
        p \leftarrow (1 - \eta \lambda)\, p - \eta
        \sum_s \frac{m_s}{1 - b_s^t} \Big/
        \Big(\sqrt{v / (1 - \beta_2^t)} + \epsilon\Big)

    Args:
        params: Parameters that share all hyper-parameters and the number of
            steps taken, each with a gradient in some stream.
        grads: ``{stream: gradients}`` in the order of ``params``; ``None``
            is a zero gradient. Not modified.
        group: ``lr``, ``betas``, ``offsets``, ``eps`` and ``weight_decay``.
        state: The optimizer's state. A stream's moment appears in it when
            the stream first has a gradient: until then it is 0.
    """
    betas = {stream: check_momentum(stream, group) for stream in grads}
    lr, beta2 = float(group['lr']), group['betas'][1]
    steps = _count(params, state)
    decay = 1 - lr * group['weight_decay']
    if decay != 1:
        torch._foreach_mul_(list(params), decay)
    scales = _advance_second(params, grads, beta2, state)
    # The operations and their order are torch's, to give its very numbers.
    torch._foreach_div_(scales, (1 - beta2**steps)**0.5)
    torch._foreach_add_(scales, group['eps'])
    for stream, values in grads.items():
        key, beta = buffer_key(stream, FIRST), betas[stream]
        _advance_first(params, values, key, beta, state)
        moved = [i for i, p in enumerate(params) if key in state[p]]
        if moved:
            torch._foreach_addcdiv_(
                [params[i] for i in moved],
                [state[params[i]][key] for i in moved],
                [scales[i] for i in moved],
                value=-lr / (1 - beta**steps))


def _count(params: Sequence[Tensor], state: State) -> float:
    """Count one step of parameters that have taken equally many."""
    held = state[params[0]].get('step', torch.zeros(()))
    steps = held + 1
    for param in params:
        # A tensor of its own, on the CPU: as torch keeps it.
        state[param]['step'] = steps.clone()
    return float(steps)


def _advance_second(params: Sequence[Tensor], grads: Mapping[str, Gradients],
                    beta2: float, state: State) -> List[Tensor]:
    """Advance the moment of the summed gradient; return its square root."""
    total = [g for g in gradient_sum(list(grads.values())) if g is not None]
    for param in params:
        if 'exp_avg_sq' not in state[param]:
            state[param]['exp_avg_sq'] = torch.zeros_like(param)
    squares = [state[p]['exp_avg_sq'] for p in params]
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, total, total, value=1 - beta2)
    return list(torch._foreach_sqrt(squares))


def _advance_first(params: Sequence[Tensor], values: Gradients, key: str,
                   beta: float, state: State) -> None:
    """Advance one stream's moments."""
    pairs = [(p, g) for p, g in zip(params, values) if g is not None]
    for param, _ in pairs:
        if key not in state[param]:
            state[param][key] = torch.zeros_like(param)
    if pairs:
        torch._foreach_lerp_([state[p][key] for p, _ in pairs],
                             [g for _, g in pairs], 1 - beta)
    idle = [state[p][key] for p, g in zip(params, values)
            if g is None and key in state[p]]
    if idle:
        torch._foreach_mul_(idle, beta)
