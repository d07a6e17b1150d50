"""What the optimizer and its wrapper agree on about gradient streams."""
from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch
from torch import Tensor

# DeepKD's streams: the papers' TOG, TCG and NCG.
STREAMS = ('task', 'target', 'non_target')

# The one stream of a loss that is not split.
PLAIN = 'plain'


def buffer_key(stream: str) -> str:
    """Return the key of a stream's buffer in ``optimizer.state[p]``."""
    return f'{stream}_momentum_buffer'


def check_momentum(stream: str, group: Mapping[str, Any]) -> float:
    """Return the momentum of a stream in a parameter group.

    Args:
        stream: Name of the stream; ``plain`` has offset 0.
        group: Parameter group with ``momentum`` and ``offsets``.

    Raises:
        ValueError: It is outside [0, 1), where momentum diverges.
    """
    offset = 0.0 if stream == PLAIN else group['offsets'][stream]
    momentum = float(group['momentum'] + offset)
    if not 0 <= momentum < 1:
        raise ValueError(
            f'the momentum of stream {stream!r} is {group["momentum"]} + '
            f'{offset} = {momentum:g}, outside [0, 1): choose a smaller delta '
            '(or offset), or another base momentum.')
    return momentum


def check_group(group: Mapping[str, Any]) -> None:
    """Raise unless the hyper-parameters of a group are in range.

    Args:
        group: ``lr``, ``momentum``, ``offsets``, ``weight_decay`` and
            ``dampening``.

    Raises:
        ValueError: One of them is not.
    """
    for name in ('lr', 'weight_decay'):
        if not float(group[name]) >= 0:
            raise ValueError(
                f'DecoupledSGD needs {name} >= 0, got {group[name]}.')
    dampening = group['dampening']
    if dampening != 'ema' and not (isinstance(dampening, (int, float))
                                   and 0 <= dampening < 1):
        raise ValueError("DecoupledSGD's dampening must be in [0, 1) or "
                         f"'ema', got {dampening!r}.")
    if 'task' not in group['offsets'] or PLAIN in group['offsets']:
        raise ValueError(
            "DecoupledSGD's offsets must name the stream 'task' (it carries "
            f"the weight decay) and not '{PLAIN}' (its offset is always 0), "
            f'got {group["offsets"]}.')
    for stream in group['offsets']:
        check_momentum(stream, group)


def merge_by_offset(
        names: Sequence[str],
        all_offsets: Sequence[Mapping[str, float]]) -> Dict[str, str]:
    """Map each stream to the first one with the same offset in every group.

    Args:
        names: Streams, in order.
        all_offsets: The offsets of each parameter group.

    Returns:
        ``{stream: leader}``; offsets within 1e-12 count as equal.
    """
    leaders: Dict[str, str] = {}
    for name in names:
        leaders[name] = next(
            (other for other in leaders if all(
                abs(offsets[name] - offsets[other]) <= 1e-12
                for offsets in all_offsets)), name)
    return leaders


def gradient_sum(
        lists: Sequence[Sequence[Optional[Tensor]]]
) -> List[Optional[Tensor]]:
    """Add gradient lists parameter by parameter; ``None`` counts as zero.

    Args:
        lists: One list of gradients per stream, in parameter order.

    Returns:
        The sums as new tensors. Where only one stream has a gradient, that
        very tensor; where none has, ``None``.
    """
    total = list(lists[0])
    for grads in lists[1:]:
        both = {
            i: (a, b)
            for i, (a, b) in enumerate(zip(total, grads))
            if a is not None and b is not None
        }
        total = [b if a is None else a for a, b in zip(total, grads)]
        if both:
            sums = torch._foreach_add([a for a, _ in both.values()],
                                      [b for _, b in both.values()])
            for i, value in zip(both, sums):
                total[i] = value
    return total
