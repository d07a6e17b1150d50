"""Gradients of one stream: taken without ``backward``, averaged over ranks.

``torch.autograd.grad`` does not wake the reducer of DistributedDataParallel,
which would reduce the first of several backward passes only, silently. So
the reduction is done here, once per update.
"""
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

Gradients = List[Optional[Tensor]]

# As large as DistributedDataParallel's buckets.
_BUCKET_BYTES = 25 * 2**20


def stream_gradients(loss: Tensor,
                     params: Sequence[Tensor],
                     retain_graph: bool = False) -> Gradients:
    """Return the gradient of a loss with respect to each parameter.

    Args:
        loss: Scalar. One that does not depend on any parameter (an empty
            batch) has no gradient.
        params: Parameters; frozen ones are allowed.
        retain_graph: Keep the graph for the next stream.

    Returns:
        One tensor per parameter, or ``None`` where the loss does not reach
        it or it is frozen. ``p.grad`` is not touched.

    Raises:
        RuntimeError: The forward used reentrant activation checkpointing
            (mmdet's ``with_cp=True``), which only ``backward`` can follow.
    """
    grads: Gradients = [None] * len(params)
    # Read every step: users freeze and unfreeze parameters while training.
    wanted = [i for i, p in enumerate(params) if p.requires_grad]
    if not wanted or not loss.requires_grad:
        return grads
    try:
        found = torch.autograd.grad(
            loss, [params[i] for i in wanted],
            retain_graph=retain_graph,
            allow_unused=True)
    except RuntimeError as error:
        if 'checkpoint' not in str(error).lower():
            raise
        raise RuntimeError(
            'reentrant activation checkpointing does not work with gradient '
            'streams: set with_cp=False in the model config (torch says: '
            f'{error})') from error
    for i, grad in zip(wanted, found):
        grads[i] = grad
    return grads


def multiplied(grads: Gradients, factor: Tensor) -> Gradients:
    """Return gradients times a 0-d tensor, as tensors of their own.

    Args:
        grads: One tensor, or None, per parameter.
        factor: 0-d.
    """
    present = {i: g for i, g in enumerate(grads) if g is not None}
    scaled = list(grads)
    if present:
        values = torch._foreach_mul(list(present.values()), factor)
        for i, value in zip(present, values):
            scaled[i] = value
    return scaled


def world_size() -> int:
    """Return the number of processes that train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def reduce_streams(stream_grads: Dict[str, Gradients], streams: Sequence[str],
                   params: Sequence[Tensor]) -> Dict[str, Gradients]:
    """Average the gradients of every stream over all ranks.

    A gradient that any rank has is reduced, with zeros from the ranks that
    lack it, so a rank whose batch missed a head stays in step; a gradient
    that no rank has stays ``None``, as with one process.

    Args:
        stream_grads: ``{stream: gradients}`` of this rank.
        streams: All streams any rank may have, in the same order everywhere.
        params: The parameters, in the order of the gradients.

    Returns:
        ``{stream: gradients}``, equal on all ranks.
    """
    used = _used_anywhere(stream_grads, streams, params)
    reduced: Dict[str, Gradients] = {
        stream: [None] * len(params)
        for stream, flags in zip(streams, used) if any(flags)
    }
    pending = []
    for bucket in _buckets(used, params):
        flat = torch.cat([
            _gradient_or_zero(stream_grads, streams[s], params, i).reshape(-1)
            for s, i in bucket
        ]).div_(world_size())
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in pending:
        work.wait()
        parts = flat.split_with_sizes(
            [params[i].numel() for _, i in bucket])
        for (s, i), part in zip(bucket, parts):
            reduced[streams[s]][i] = part.view_as(params[i])
    return reduced


def _used_anywhere(stream_grads: Dict[str, Gradients], streams: Sequence[str],
                   params: Sequence[Tensor]) -> List[List[int]]:
    missing: Gradients = [None] * len(params)
    flags = torch.tensor(
        [[int(g is not None) for g in stream_grads.get(s, missing)]
         for s in streams],
        dtype=torch.int32,
        device=params[0].device)
    dist.all_reduce(flags)
    return flags.tolist()


def _buckets(used: List[List[int]],
             params: Sequence[Tensor]) -> Iterator[List[Tuple[int, int]]]:
    """Yield (stream, parameter) index pairs of one dtype and device."""
    open_buckets: Dict[Tuple[torch.dtype, torch.device],
                       List[Tuple[int, int]]] = {}
    sizes: Dict[Tuple[torch.dtype, torch.device], int] = {}
    for s, flags in enumerate(used):
        for i, flag in enumerate(flags):
            if not flag:
                continue
            key = (params[i].dtype, params[i].device)
            open_buckets.setdefault(key, []).append((s, i))
            sizes[key] = sizes.get(key, 0) + (
                params[i].numel() * params[i].element_size())
            if sizes[key] >= _BUCKET_BYTES:
                yield open_buckets.pop(key)
                sizes.pop(key)
    yield from open_buckets.values()


def _gradient_or_zero(stream_grads: Dict[str, Gradients], stream: str,
                      params: Sequence[Tensor], index: int) -> Tensor:
    grads = stream_grads.get(stream)
    grad = None if grads is None else grads[index]
    return torch.zeros_like(params[index]) if grad is None else grad
