"""Whether losses and gradients are finite, and what to say if not."""
import math
import re
from typing import List, Mapping, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from .gradients import Gradients, world_size

# {stream: {name of a loss: scalar}}
Parts = Mapping[str, Mapping[str, Tensor]]

# As many findings, and as many parameters, are named in a message.
_SHOWN = 3

ADVICE = (
    'lower the learning rate or lengthen its warm-up, clip with '
    'optim_wrapper.clip_grad=dict(max_norm=...), or find the operation with '
    'tools/train.py CONFIG --detect-anomaly '
    '(torch.autograd.set_detect_anomaly)')

# In a text on adapters, their loss or their tensors (distill.loss_* is a loss
# on logits); what helps them alone.
_ADAPTERS = re.compile(r'the loss feature\.|parameters \((.*, )?distill\.')
_ADAPTERS_ADVICE = (
    "; the adapters of feature losses train at the student's learning rate, "
    'and optim_wrapper.paramwise_cfg=dict(custom_keys=dict(distill=dict('
    'lr_mult=0.1))) lowers theirs alone (norm_decay_mult and bias_decay_mult '
    'then leave them out)')


def measure(
        losses: Sequence[Tensor],
        sizes: Sequence[Tensor],
        device: torch.device,
        flags: Optional[Tensor] = None) -> Tuple[bool, List[float]]:
    """Read many numbers with one synchronisation of host and device.

    Args:
        losses: Scalars of this rank.
        sizes: Scalars that are equal on all ranks, such as norms.
        device: Where the ranks communicate.
        flags: Whole numbers of this rank, 1-d, as many on every rank.

    Returns:
        Whether the losses of all ranks are finite (the same answer on every
        rank), and the sizes, finite or not, then the sums of the flags.
    """
    double = any(v.dtype is torch.float64 for v in (*losses, *sizes))
    dtype = torch.float64 if double else torch.float32
    finite = _stacked(losses, device, dtype).isfinite()
    counts = finite.logical_not().sum().reshape(1)
    if flags is not None:
        counts = torch.cat([counts, flags])
    if world_size() > 1:
        dist.all_reduce(counts)
    spoilt, *numbers = torch.cat(
        [counts[:1].to(dtype), _stacked(sizes, device, dtype),
         counts[1:].to(dtype)]).tolist()
    return not spoilt, numbers


def gradient_size(stream_grads: Mapping[str, Gradients]) -> List[Tensor]:
    """Return a number that is finite only if every gradient is.

    Args:
        stream_grads: ``{stream: gradients}``.

    Returns:
        The sum of the tensors' norms, 0-d; no number if there is no
        gradient. A norm beyond the range of its dtype counts as infinite:
        such a step is lost, too.
    """
    grads = [g for values in stream_grads.values() for g in values
             if g is not None]
    if not grads:
        return []
    norms = torch._foreach_norm(grads)
    return [_stacked(norms, norms[0].device, norms[0].dtype).sum()]


def bad_losses(iteration: int, parts: Parts) -> List[str]:
    """Say which losses are not finite, one text each.

    Args:
        iteration: Counted from 1, as in the log.
        parts: ``{stream: {name: scalar}}``.
    """
    numbers = [(stream, name, float(value)) for stream, losses in parts.items()
               for name, value in losses.items()]
    return [
        f'iteration {iteration}: the loss {name} (stream {stream}) is {value}'
        for stream, name, value in numbers if not math.isfinite(value)
    ]


def bad_gradients(iteration: int, stream_grads: Mapping[str, Gradients],
                  names: Sequence[str]) -> List[str]:
    """Say which gradients are not finite, one text per stream.

    Args:
        iteration: Counted from 1, as in the log.
        stream_grads: ``{stream: gradients}``.
        names: The parameters' names, in the order of the gradients.
    """
    texts = []
    for stream, grads in stream_grads.items():
        bad = [i for i, g in enumerate(grads)
               if g is not None and not bool(g.isfinite().all())]
        if bad:
            shown = _shortened([names[i] for i in bad])
            texts.append(
                f'iteration {iteration}: every loss is finite, but not the '
                f'gradient of {stream} in {len(bad)} of {len(grads)} '
                f'parameters ({shown})')
    return texts or [
        f'iteration {iteration}: every loss is finite, but the norm of the '
        'gradient is beyond the range of its dtype'
    ]


def from_all_ranks(texts: List[str]) -> List[str]:
    """Return the texts of all ranks, each with its rank, to every rank.

    Args:
        texts: Of this rank; every rank must call this.
    """
    if world_size() == 1:
        return texts
    found: List[List[str]] = [[] for _ in range(world_size())]
    dist.all_gather_object(found, texts)
    return [f'{text} on rank {rank}' for rank, texts in enumerate(found)
            for text in texts]


def sentence(texts: Sequence[str], result: str, advice: str) -> str:
    """Join what was found, what follows from it, and what to try."""
    if any(map(_ADAPTERS.search, texts)):
        advice += _ADAPTERS_ADVICE
    return f'{_shortened(texts)}; {result}: {advice}.'


def _shortened(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    return ', '.join(texts[:_SHOWN]) + (f' and {more} more' if more > 0 else
                                        '')


def _stacked(values: Sequence[Tensor], device: torch.device,
             dtype: torch.dtype) -> Tensor:
    if not values:
        return torch.empty(0, device=device, dtype=dtype)
    # Hundreds of norms: convert them only where they need it.
    if any(v.dim() or v.dtype is not dtype or v.device != device
           for v in values):
        values = [v.reshape(()).to(device, dtype) for v in values]
    return torch.stack(list(values)).detach()
