"""What the optimizer and its wrapper agree on about gradient streams."""
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    MutableMapping,
    Optional,
    Sequence,
)

import torch
from torch import Tensor

Gradients = Sequence[Optional[Tensor]]
State = MutableMapping[Tensor, Dict[str, Tensor]]

# DeepKD's streams: the papers' TOG, TCG and NCG.
STREAMS = ('task', 'target', 'non_target')

# The one stream of a loss that is not split.
PLAIN = 'plain'


def buffer_key(stream: str, kind: str = 'momentum_buffer') -> str:
    """Return the key of a stream's buffer in ``optimizer.state[p]``.

    Args:
        stream: Name of the stream.
        kind: ``'momentum_buffer'`` of SGD or ``'exp_avg'`` of AdamW, as
            torch calls them.
    """
    return f'{stream}_{kind}'


def check_momentum(stream: str, group: Mapping[str, Any]) -> float:
    """Return the momentum of a stream in a parameter group.

    Args:
        stream: Name of the stream; ``plain`` has offset 0.
        group: Parameter group with ``offsets`` and the base momentum:
            ``betas[0]`` of AdamW, ``momentum`` of SGD.

    Raises:
        ValueError: It is outside [0, 1), where momentum diverges.
    """
    # A momentum scheduler writes a 'momentum' next to AdamW's betas.
    base = group['betas'][0] if 'betas' in group else group['momentum']
    offset = 0.0 if stream == PLAIN else group['offsets'][stream]
    momentum = float(base + offset)
    if not 0 <= momentum < 1:
        raise ValueError(
            f'the momentum of stream {stream!r} is {base} + '
            f'{offset} = {momentum:g}, outside [0, 1): choose a smaller delta '
            '(or offset), or another base momentum.')
    return momentum


def narrower_delta(delta: float, base: float) -> Optional[str]:
    """Return what keeps base - delta and base + delta in [0, 1).

    Args:
        delta: The largest distance from the base momentum.
        base: The base momentum.

    Returns:
        What to do, as a part of a sentence; None where both are in it.
    """
    if 0 <= base - delta <= base + delta < 1:
        return None
    if base == 0:
        return 'give the optimizer a momentum'
    # 0 is a momentum, 1 is none.
    return (f'choose at most {base:g}' if base < 0.5 else
            f'choose less than {1 - base:g}')


def check_group(group: Mapping[str, Any], optimizer: str) -> None:
    """Raise unless what all optimizers share in a group is in range.

    Args:
        group: ``lr``, ``weight_decay``, ``offsets`` and a base momentum.
        optimizer: Name of the optimizer, for the message.

    Raises:
        ValueError: One of them is not.
    """
    for name in ('lr', 'weight_decay'):
        if not float(group[name]) >= 0:
            raise ValueError(
                f'{optimizer} needs {name} >= 0, got {group[name]}.')
    if 'task' not in group['offsets'] or PLAIN in group['offsets']:
        raise ValueError(
            f"{optimizer}'s offsets must name the stream 'task' (it is in "
            f"every run) and not '{PLAIN}' (its offset is always 0), got "
            f'{group["offsets"]}.')
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


def sum_by_leader(stream_grads: Mapping[str, Gradients],
                  leaders: Mapping[str, str],
                  length: int) -> Dict[str, Gradients]:
    """Sum the gradients of streams that share a buffer.

    Args:
        stream_grads: ``{stream: gradients}``.
        leaders: ``{stream: stream whose buffer it uses}``.
        length: Number of parameters.

    Returns:
        ``{leader: gradients}``, all ``None`` for a leader without gradients;
        ``plain`` and the other leaders only where streams of their kind are
        given.

    Raises:
        KeyError: A stream is not in ``leaders``.
        ValueError: A list has the wrong length.
    """
    grads: Dict[str, Gradients] = {}
    for stream, values in stream_grads.items():
        if stream not in leaders:
            raise KeyError(
                f'stream {stream!r} has no momentum: add it to the offsets '
                f'of the optimizer, which knows {", ".join(leaders)}.')
        if len(values) != length:
            raise ValueError(
                f'stream {stream!r} has {len(values)} gradients for '
                f'{length} parameters; pass one (or None) for each.')
        leader = leaders[stream]
        grads[leader] = values if leader not in grads else gradient_sum(
            [grads[leader], values])
    # Buffers of streams that are absent in this step decay and act.
    for leader in dict.fromkeys(leaders.values()):
        if leader != PLAIN and PLAIN not in grads:
            grads.setdefault(leader, [None] * length)
    return grads
