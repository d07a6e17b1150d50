"""The momentum update over gradient streams, as a function."""
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .fused import fused_kernel, fused_step, fuses
from .parts import columns, parts
from .streams import PLAIN, Gradients, State, buffer_key, check_momentum

# The streams that carry the weight decay.
_DECAYED = ('task', PLAIN)

# (parameter, gradient, buffer or, without momentum, None)
_Row = Tuple[Tensor, Tensor, Optional[Tensor]]


class _Rule(NamedTuple):
    """How one stream moves the parameters."""

    lr: float
    momentum: float
    weight_decay: float
    dampening: float
    # Dampening of a parameter's first step.
    first: float


def momentum_step(params: Sequence[Tensor], grads: Mapping[str, Gradients],
                  group: Mapping[str, Any], state: State,
                  fused: Optional[bool] = None) -> None:
    r"""Advance every stream's buffer and move the parameters by their sum.

    .. math::
        v_s \leftarrow (\mu + o_s)\, v_s + (1 - d)\, g_s, \qquad
        p \leftarrow p - \eta \sum_s v_s

    Args:
        params: Parameters that share all hyper-parameters, device and dtype,
            each with a gradient in some stream.
        grads: ``{stream: gradients}`` in the order of ``params``; ``None``
            is a zero gradient. Not modified.
        group: ``lr``, ``momentum``, ``offsets``, ``weight_decay`` and
            ``dampening``.
        state: The optimizer's state; buffers appear in it when a stream
            first has a gradient.
        fused: See :class:`~mmdeepkd.engine.DecoupledSGD`.
    """
    # Weight decay reads the parameter before any stream has moved it.
    streams = sorted(grads, key=lambda stream: stream not in _DECAYED)
    rules = {stream: _rule(stream, group) for stream in streams}
    fresh = [not state.get(p) for p in params]
    buffers = {
        stream: _buffers(stream, params, grads[stream], rules[stream], state)
        for stream in streams
    }
    for part in parts(params):
        members, begin = part.of(params), fresh[part.rows]
        for stream in streams:
            _follow(members, part.of(grads[stream]),
                    part.of(buffers[stream]), begin, rules[stream], fused)


def _rule(stream: str, group: Mapping[str, Any]) -> _Rule:
    momentum, dampening = check_momentum(stream, group), group['dampening']
    ema = dampening == 'ema'
    return _Rule(
        lr=float(group['lr']),
        momentum=momentum,
        weight_decay=group['weight_decay'] if stream in _DECAYED else 0.0,
        dampening=momentum if ema else dampening,
        # As torch: undamped, unless it is an EMA.
        first=momentum if ema else 0.0)


def _buffers(stream: str, params: Sequence[Tensor], grads: Gradients,
             rule: _Rule, state: State) -> List[Optional[Tensor]]:
    """Return a stream's buffers, ``None`` where it has had no gradient."""
    if rule.momentum == 0:
        return [None] * len(params)
    key, buffers = buffer_key(stream), []
    for param, grad in zip(params, grads):
        held = state[param]
        if key not in held and (grad is not None or rule.weight_decay):
            held[key] = torch.zeros_like(param)
        buffers.append(held.get(key))
    return buffers


def _follow(params: Sequence[Tensor], grads: Gradients,
            buffers: Sequence[Optional[Tensor]], fresh: Sequence[bool],
            rule: _Rule, fused: Optional[bool]) -> None:
    """Advance the buffers of one stream, and move the parameters by them."""
    if rule.weight_decay:
        grads = [torch.zeros_like(p) if g is None else g
                 for p, g in zip(params, grads)]
    idle = [(p, v) for p, g, v in zip(params, grads, buffers)
            if g is None and v is not None]
    if idle:
        held = [v for _, v in idle]
        torch._foreach_mul_(held, rule.momentum)
        torch._foreach_add_([p for p, _ in idle], held, alpha=-rule.lr)
    apart = rule.first != rule.dampening and any(fresh)
    for first in (False, True) if apart else (False, ):
        rows = [(p, g, v)
                for p, g, v, begins in zip(params, grads, buffers, fresh)
                if g is not None and not (apart and begins != first)]
        _apply(rows, rule, rule.first if first else rule.dampening, fused)


def _apply(rows: Sequence[_Row], rule: _Rule, dampening: float,
           fused: Optional[bool]) -> None:
    """Take one gradient step, with torch's fused SGD where it is right."""
    if not rows:
        return
    exact = fused is None
    if fused or (exact and _exact(rows[0][0])):
        whole = [v is not None and fuses(p, g, v, exact) for p, g, v in rows]
        one = [row for row, is_whole in zip(rows, whole) if is_whole]
        rows = [row for row, is_whole in zip(rows, whole) if not is_whole]
        if one:
            fused_step(*columns(one), lr=rule.lr, momentum=rule.momentum,
                       weight_decay=rule.weight_decay, dampening=dampening)
    if rows:
        _by_operations(*columns(rows), rule=rule, dampening=dampening)


def _exact(param: Tensor) -> bool:
    # On other devices torch's own default is foreach.
    return param.device.type == 'cpu' and fused_kernel('cpu', param.dtype)[1]


def _by_operations(params: List[Tensor], grads: List[Tensor],
                   buffers: List[Tensor], *, rule: _Rule,
                   dampening: float) -> None:
    if rule.weight_decay:
        grads = list(
            torch._foreach_add(grads, params, alpha=rule.weight_decay))
    if rule.momentum != 0:
        torch._foreach_mul_(buffers, rule.momentum)
        torch._foreach_add_(buffers, grads, alpha=1 - dampening)
        grads = buffers
    torch._foreach_add_(params, grads, alpha=-rule.lr)
