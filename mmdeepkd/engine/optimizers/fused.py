"""torch's fused SGD: where there is one, and where it may be used."""
import functools
from typing import List, Optional, Tuple

import torch
from torch import Tensor
from torch.optim.sgd import sgd

# Elements that are whole vectors, and whole cache lines, on every processor.
# The rest of a tensor is rounded otherwise than by torch's own operations.
_WHOLE = 16


def fused_step(params: List[Tensor], grads: List[Tensor],
               buffers: List[Tensor], *, lr: float, momentum: float,
               weight_decay: float, dampening: float) -> None:
    """Advance buffers and move parameters in one pass over each.

    Args:
        params: Parameters.
        grads: Their gradients, laid out as the parameters.
        buffers: Their momentum buffers, laid out as the parameters.
        lr: Learning rate.
        momentum: Decay of the buffers.
        weight_decay: L2 factor.
        dampening: One minus the factor of the gradients.
    """
    # On the CPU torch first copies a gradient that is not contiguous, though
    # the kernel walks through memory: as one dimension all of them are.
    held: List[Optional[Tensor]] = [*_lines(buffers)]
    sgd(_lines(params), _lines(grads), held, foreach=False, fused=True, lr=lr,
        momentum=momentum, weight_decay=weight_decay, dampening=dampening,
        nesterov=False, maximize=False)


def _lines(tensors: List[Tensor]) -> List[Tensor]:
    return [t if t.dim() < 2 else t.as_strided((t.numel(), ), (1, ))
            for t in tensors]


def _steps(tensor: Tensor) -> List[int]:
    """Return the strides that matter: one value has none."""
    return [step for step, length in zip(tensor.stride(), tensor.shape)
            if length > 1]


@functools.lru_cache(maxsize=None)
def fused_kernel(device: str, dtype: torch.dtype) -> Tuple[bool, bool]:
    """Try torch's fused SGD on a few numbers.

    Args:
        device: Type of device, such as ``'cpu'``.
        dtype: Of the parameters.

    Returns:
        Whether this torch has one that works, and whether it gives the very
        numbers of the separate operations on whole vectors.
    """
    values = torch.arange(27. * _WHOLE, device=device).sin().to(dtype)
    param, grad, buffer = values.clone().chunk(3)
    other_param, _, other_buffer = values.clone().chunk(3)
    try:
        fused_step([other_param], [grad], [other_buffer], lr=0.1,
                   momentum=0.85, weight_decay=0.03, dampening=0.3)
    except (NotImplementedError, RuntimeError, TypeError):
        # No kernel, not for this device or dtype, no such argument.
        return False, False
    decayed = grad.add(param, alpha=0.03)
    param.add_(buffer.mul_(0.85).add_(decayed, alpha=1 - 0.3), alpha=-0.1)
    # Some versions leave parameters of half precision where they are.
    moves = torch.allclose(param, other_param, rtol=0.,
                           atol=8 * torch.finfo(dtype).eps)
    return moves, moves and (torch.equal(param, other_param)
                             and torch.equal(buffer, other_buffer))


def fuses(param: Tensor, grad: Tensor, buffer: Tensor, exact: bool) -> bool:
    """Whether the fused SGD is right for these three tensors.

    The kernel walks through memory and takes no account of strides. A buffer
    has no gaps: with its strides neither have the other two.

    Args:
        param: The parameter.
        grad: Its gradient.
        buffer: Its momentum buffer.
        exact: Ask for the very numbers of the separate operations.
    """
    return (grad.dtype is param.dtype
            and _steps(param) == _steps(grad) == _steps(buffer)
            and not (exact and param.numel() % _WHOLE))
