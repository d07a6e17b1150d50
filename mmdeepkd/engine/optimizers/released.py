"""The update rules of the released DeepKD and DOT optimizers, as they are.

They differ from the papers: with three streams the task buffer decays with
the *target* momentum, weight decay enters through the target stream, from a
parameter that the other two streams have already moved, and parameters
that miss a stream borrow a momentum. Use them only to reproduce numbers of
those releases (haiduo/DeepKD ``mdistiller/engine/deepkd.py``,
megvii-research/mdistiller ``mdistiller/engine/dot.py``).
"""
from typing import Any, Dict, Mapping, Sequence

from torch import Tensor

from .streams import Gradients, State, buffer_key, check_momentum

_DOT = ('task', 'distill')
_DEEPKD = ('task', 'target', 'non_target')


def check_released_streams(group: Mapping[str, Any]) -> None:
    """Raise unless the streams and the dampening are those of a release."""
    names = tuple(sorted(group['offsets']))
    if names not in (tuple(sorted(_DOT)), tuple(sorted(_DEEPKD))):
        raise ValueError(
            "semantics='released' exists for the streams task, distill (DOT) "
            'and task, target, non_target (DeepKD), got '
            f'{", ".join(names)}: correct offsets, or use '
            "semantics='paper'.")
    if group['dampening'] == 'ema':
        raise ValueError("semantics='released' takes a number as dampening: "
                         "'ema' is not in the released code.")


def released_momentum(stream: str, group: Mapping[str, Any]) -> float:
    """Return with what a stream's buffer decays where all have a gradient.

    Args:
        stream: One of the group's.
        group: Parameter group.
    """
    own = check_momentum(stream, group)
    # `_follow` keeps no buffer for a stream whose own momentum is 0.
    if stream == 'task' and 'target' in group['offsets'] and own != 0:
        return check_momentum('target', group)
    return own


def released_step(params: Sequence[Tensor], grads: Mapping[str, Gradients],
                  group: Mapping[str, Any], state: State) -> None:
    """Update parameters as the released optimizers do.

    Args:
        params: Parameters of one group.
        grads: ``{stream: gradients}`` in the order of ``params``.
        group: Hyper-parameters.
        state: The optimizer's state.
    """
    rule = _step_dot if 'distill' in group['offsets'] else _step_deepkd
    momenta = {s: check_momentum(s, group) for s in group['offsets']}
    for i, param in enumerate(params):
        present = {
            stream: values[i]
            for stream, values in grads.items() if values[i] is not None
        }
        rule(param, present, momenta, group, state[param])


def _step_dot(param: Tensor, grads: Dict[str, Any], momenta: Dict[str, float],
              group: Mapping[str, Any], state: Dict[str, Tensor]) -> None:
    mean = sum(momenta.values()) / 2
    start = param.clone()
    for stream in _DOT:
        if stream not in grads:
            continue
        alone = len(grads) == 1
        fresh = buffer_key(stream) not in state
        decays = int(stream == 'task' or (alone and not fresh))
        _follow(param, stream, grads[stream], momenta[stream],
                mean if alone else momenta[stream], decays, start, group,
                state)


def _step_deepkd(param: Tensor, grads: Dict[str, Any], momenta: Dict[str,
                                                                     float],
                 group: Mapping[str, Any], state: Dict[str, Tensor]) -> None:
    mean = sum(momenta.values()) / 3
    alone = len(grads) == 1
    # stream: whose momentum it takes, by the first other stream present
    borrowed = {
        'task': (('target', 'target'), ('non_target', 'non_target')),
        'non_target': (('task', 'non_target'), ('target', 'target')),
        'target': (('task', 'target'), ('non_target', 'non_target')),
    }
    for stream, rules in borrowed.items():
        if stream not in grads:
            continue
        fresh = buffer_key(stream) not in state
        momentum = next(
            (momenta[own] for other, own in rules if other in grads), mean)
        decays = int(stream == 'target')
        if alone and not fresh and stream != 'task':
            decays += 1
        _follow(param, stream, grads[stream], momenta[stream], momentum,
                decays, param, group, state)


def _follow(param: Tensor, stream: str, grad: Tensor, own: float,
            momentum: float, decays: int, decayed: Tensor,
            group: Mapping[str, Any], state: Dict[str, Tensor]) -> None:
    """One ``p -= lr v``; ``decays`` times weight decay from ``decayed``."""
    if decays:
        grad = grad.add(decayed, alpha=decays * group['weight_decay'])
    # The release asks the stream's own momentum whether there is a buffer.
    if own != 0:
        key = buffer_key(stream)
        if key not in state:
            state[key] = grad.clone()
        else:
            state[key].mul_(momentum).add_(grad, alpha=1 - group['dampening'])
        grad = state[key]
    param.add_(grad, alpha=-group['lr'])
