"""Gradients of one stream, taken without ``backward``.

``torch.autograd.grad`` does not wake the reducer of DistributedDataParallel,
which would reduce the first of several backward passes only, silently.
:mod:`~mmdeepkd.engine.reduction` reduces instead.
"""
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

Gradients = List[Optional[Tensor]]

# As large as DistributedDataParallel's buckets.
_CHUNK_BYTES = 25 * 2**20


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
    """Replace gradients by tensors of their own, times a 0-d tensor.

    Not in place: autograd may give one tensor for two parameters. Beyond the
    list the memory of one chunk is needed.

    Args:
        grads: One tensor, or None, per parameter; changed in place.
        factor: 0-d.

    Returns:
        The same list.
    """
    found = [i for i, g in enumerate(grads) if g is not None]
    for chunk in chunks(found, grads):
        scaled = torch._foreach_mul(present(grads, chunk), factor)
        for i, value in zip(chunk, scaled):
            grads[i] = value
    return grads


def chunks(indices: Sequence[int],
           tensors: Sequence[Optional[Tensor]]) -> Iterator[List[int]]:
    """Yield the indices in groups of one dtype, one device and some 25 MB.

    Args:
        indices: Of the tensors to group.
        tensors: Those at the indices are not None.
    """
    groups: Dict[Tuple[torch.dtype, torch.device], List[int]] = {}
    sizes: Dict[Tuple[torch.dtype, torch.device], int] = {}
    for i, tensor in zip(indices, present(tensors, indices)):
        key = (tensor.dtype, tensor.device)
        groups.setdefault(key, []).append(i)
        sizes[key] = sizes.get(key, 0) + (
            tensor.numel() * tensor.element_size())
        if sizes[key] >= _CHUNK_BYTES:
            yield groups.pop(key)
            sizes.pop(key)
    yield from groups.values()


def present(tensors: Sequence[Optional[Tensor]],
            indices: Sequence[int]) -> List[Tensor]:
    """Return the tensors at the indices that are not None."""
    picked = [tensors[i] for i in indices]
    return [tensor for tensor in picked if tensor is not None]


def parameters(optimizer: Optimizer) -> List[Tensor]:
    """Return the parameters in the order of the gradients."""
    return [p for g in optimizer.param_groups for p in g['params']]


def world_size() -> int:
    """Return the number of processes that train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1
