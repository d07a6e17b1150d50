"""The sum of the gradient streams in ``p.grad``, for torch to clip."""
from typing import Dict, Sequence

from torch import Tensor

from .gradients import Gradients, multiplied
from .optimizers.streams import gradient_sum


def expose_sum(params: Sequence[Tensor],
               stream_grads: Dict[str, Gradients]) -> None:
    """Put the summed gradient, as tensors of its own, into ``p.grad``.

    Args:
        params: The parameters, in the order of the gradients.
        stream_grads: ``{stream: gradients}``.
    """
    lists = list(stream_grads.values())
    total = gradient_sum(lists)
    for i, (param, grad) in enumerate(zip(params, total)):
        # Autograd may return one tensor for two parameters, and what clips or
        # unscales p.grad writes in place.
        shared = any(grad is g[i] for g in lists)
        param.grad = grad.clone() if shared and grad is not None else grad


def rescaled(params: Sequence[Tensor], stream_grads: Dict[str, Gradients],
             factor: Tensor) -> Dict[str, Gradients]:
    """Return the streams scaled as ``p.grad`` was; release ``p.grad``.

    Args:
        params: The parameters, in the order of the gradients.
        stream_grads: ``{stream: gradients}``.
        factor: What ``p.grad`` was multiplied by, 0-d.
    """
    total = [p.grad for p in params]
    for param in params:
        param.grad = None
    if len(stream_grads) == 1:
        for values in stream_grads.values():
            values[:] = total
        return stream_grads
    # The sum's memory is what scaling needs.
    del total
    return {
        name: multiplied(values, factor)
        for name, values in stream_grads.items()
    }
