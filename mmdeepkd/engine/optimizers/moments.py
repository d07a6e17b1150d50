"""AdamW's update over gradient streams, as a function."""
from typing import Any, List, Mapping, Optional, Sequence

import torch
from torch import Tensor

from .parts import columns, parts
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
    # Not torch's fused AdamW: it knows one first moment, not one per stream.
    betas = {stream: check_momentum(stream, group) for stream in grads}
    steps = _count(params, state)
    squares = [v for v in _begun(params, 'exp_avg_sq', state)
               if v is not None]
    firsts = {
        stream: _begun(params, buffer_key(stream, FIRST), state, values)
        for stream, values in grads.items()
    }
    for part in parts(params):
        _move(part.of(params), {s: part.of(g) for s, g in grads.items()},
              {s: part.of(m) for s, m in firsts.items()}, part.of(squares),
              group, betas, steps)


def _move(params: List[Tensor], grads: Mapping[str, Gradients],
          firsts: Mapping[str, Gradients], squares: List[Tensor],
          group: Mapping[str, Any], betas: Mapping[str, float],
          steps: float) -> None:
    """Advance moments that have begun, and move their parameters."""
    lr, beta2 = float(group['lr']), group['betas'][1]
    decay = 1 - lr * group['weight_decay']
    if decay != 1:
        torch._foreach_mul_(params, decay)
    scales = _advance_second(squares, grads, beta2)
    # The operations and their order are torch's, to give its very numbers.
    torch._foreach_div_(scales, (1 - beta2**steps)**0.5)
    torch._foreach_add_(scales, group['eps'])
    for stream, values in grads.items():
        beta, moments = betas[stream], firsts[stream]
        _advance_first(moments, values, beta)
        moved = [row for row in zip(params, moments, scales)
                 if row[1] is not None]
        if moved:
            targets, means, roots = columns(moved)
            torch._foreach_addcdiv_(targets, means, roots,
                                    value=-lr / (1 - beta**steps))


def _count(params: Sequence[Tensor], state: State) -> float:
    """Count one step of parameters that have taken equally many."""
    held = state[params[0]].get('step', torch.zeros(()))
    steps = held + 1
    for param in params:
        # A tensor of its own, on the CPU: as torch keeps it.
        state[param]['step'] = steps.clone()
    return float(steps)


def _begun(params: Sequence[Tensor], key: str, state: State,
           grads: Optional[Gradients] = None) -> List[Optional[Tensor]]:
    """Return moments; they begin, at 0, with a stream's first gradient."""
    moments = []
    for i, param in enumerate(params):
        held = state[param]
        if key not in held and (grads is None or grads[i] is not None):
            held[key] = torch.zeros_like(param)
        moments.append(held.get(key))
    return moments


def _advance_second(squares: List[Tensor], grads: Mapping[str, Gradients],
                    beta2: float) -> List[Tensor]:
    """Advance the moment of the summed gradient; return its square root."""
    total = [g for g in gradient_sum(list(grads.values())) if g is not None]
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, total, total, value=1 - beta2)
    return list(torch._foreach_sqrt(squares))


def _advance_first(moments: Gradients, values: Gradients,
                   beta: float) -> None:
    """Advance one stream's moments."""
    pairs = [(m, g) for m, g in zip(moments, values) if g is not None]
    if pairs:
        means, given = columns(pairs)
        torch._foreach_lerp_(means, given, 1 - beta)
    idle = [m for m, g in zip(moments, values)
            if g is None and m is not None]
    if idle:
        torch._foreach_mul_(idle, beta)
