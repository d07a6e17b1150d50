"""Logit standardisation, the z-score of each sample's logits."""
import math

import torch
from torch import Tensor

from .inputs import check_logits, upcast, without_autocast


def standardize_logits(logits: Tensor, eps: float = 1e-7) -> Tensor:
    r"""Shift and scale every row of logits to mean 0 and deviation 1.

    .. math:: \hat z_c = \frac{z_c - \bar z}{\sigma(z) + \epsilon},
        \qquad \sigma(z)^2 = \frac{1}{C - 1} \sum_c (z_c - \bar z)^2

    This is the Z-score of "Logit Standardization in Knowledge Distillation"
    (Sun et al. 2024), applied to student and teacher before the division by
    the temperature. As in the authors' code the deviation is the unbiased
    one, ``eps`` is added to it, and the gradient flows through both
    statistics.

    A row that is constant, up to rounding, has no scale: it becomes zeros (a
    uniform softmax) and receives no gradient, where the formula's would be
    ``1 / eps`` large.

    Args:
        logits: Floating logits of shape (N, C), C >= 2.
        eps: Positive number added to the deviation.

    Returns:
        Standardised logits of shape (N, C), float32 for half inputs.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The logits are not (N, C), C < 2, or eps <= 0.

    Example:
        >>> import torch
        >>> standardize_logits(torch.tensor([[1., 2., 3.]]))
        tensor([[-1.0000,  0.0000,  1.0000]])
    """
    check_logits(logits, 'logits')
    if not eps > 0:
        raise ValueError(f'eps is {eps} but must be positive: it keeps a '
                         'constant row finite.')
    with without_autocast(logits):
        values = upcast(logits)
        centred = values - values.mean(dim=1, keepdim=True)
        # The norm, unlike std, takes an empty batch without a warning.
        length: Tensor = torch.linalg.vector_norm(
            centred, dim=1, keepdim=True)
        scale = length / math.sqrt(values.size(1) - 1) + eps
        return (centred / scale).masked_fill(
            lacks_spread(centred, values, dim=1), 0.0)


def lacks_spread(centred: Tensor, values: Tensor, dim: int) -> Tensor:
    """Return whether values are constant along a dimension, up to rounding.

    What is left of a constant after its mean is subtracted is rounding
    noise: scaled to deviation 1 it would be a random direction, with a
    gradient of about 1 / eps.

    Args:
        centred: The values without their mean, floating, of any shape.
        values: The values, of the same shape.
        dim: The dimension that the mean ran over.

    Returns:
        Bool tensor of the values' shape with ``dim`` of size 1.
    """
    spread, size = (
        torch.linalg.vector_norm(x.detach(), dim=dim, keepdim=True)
        for x in (centred, values))
    constant: Tensor = spread <= 8 * torch.finfo(values.dtype).eps * size
    return constant
