"""DIST: correlations between student and teacher instead of divergences."""
from typing import Optional, Tuple

import torch
from torch import Tensor

from .inputs import (
    check_logits_pair,
    check_sample_weight,
    check_temperature,
    upcast,
    without_autocast,
)
from .standardize import lacks_spread

# Added to the product of the norms, as in the released code.
_EPS = 1e-8


def dist_distances(
        logits_student: Tensor,
        logits_teacher: Tensor,
        temperature: float,
        weight: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    r"""Return how far the relations between classes and samples differ.

    .. math:: \mathrm{inter}_n = T^2 \bigl(1 - \rho(p^s_{n,:}, p^t_{n,:})
        \bigr), \qquad \mathrm{intra}_c = T^2 \bigl(1 -
        \rho(p^s_{:,c}, p^t_{:,c})\bigr), \qquad p = \mathrm{softmax}(z / T)

    with Pearson's correlation :math:`\rho`, 1e-8 added to its denominator:
    "Knowledge Distillation from A Stronger Teacher" (Huang et al. 2022),
    section 3; the factor :math:`T^2` is that of the released code of GDKD
    (ZaberKo/GDKD, ``DIST.py``). ``inter`` compares the classes within a
    sample, ``intra`` the samples within a class and is therefore a statistic
    of the whole batch.

    A constant row or column (always so for N = 1) correlates with nothing:
    its distance is T^2, and it receives no gradient.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T.
        weight: Sample weights >= 0 of shape (N,) for the means, variances
            and covariances of ``intra``, all 1 when None; only their ratios
            matter.

    Returns:
        ``(inter, intra)`` of shapes (N,) and (C,), float32 for half inputs.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The shapes differ or are not (N, C), C < 2, the
            temperature is not positive, or the weight is not (N,).

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[0., 1., 2.], [2., 0., 1.]])
        >>> inter, intra = dist_distances(teacher + 1., teacher, 1.)
        >>> inter.abs().max() < 1e-5, intra.abs().max() < 1e-5
        (tensor(True), tensor(True))
    """
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    if weight is not None:
        check_sample_weight(weight, logits_student.size(0))
    with without_autocast(logits_student):
        student = (upcast(logits_student) / temperature).softmax(dim=1)
        teacher = (upcast(logits_teacher) / temperature).softmax(dim=1)
        inter = 1 - _correlation(_centre(student), _centre(teacher))
        columns = _centre_columns(student, weight)
        intra = 1 - _correlation(columns, _centre_columns(teacher, weight))
        return inter * temperature**2, intra * temperature**2


def _correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cosine of rows that have mean 0, (rows,)."""
    length_student: Tensor = torch.linalg.vector_norm(student, dim=1)
    length_teacher: Tensor = torch.linalg.vector_norm(teacher, dim=1)
    covariance = (student * teacher).sum(dim=1)
    return covariance / (length_student * length_teacher + _EPS)


def _centre(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=1, keepdim=True)
    return centred.masked_fill(lacks_spread(centred, rows, dim=1), 0.0)


def _centre_columns(rows: Tensor, weight: Optional[Tensor]) -> Tensor:
    """Return the columns as rows (C, N), centred, times sqrt(weight).

    The weights are scaled to a mean of 1 over the samples that count, so
    that a weight of 1 everywhere is no weight, and 0 is an absent sample.
    """
    weights = rows.new_ones(rows.size(0)) if weight is None else (
        weight.detach().to(rows))
    tiny = torch.finfo(rows.dtype).tiny
    weights = weights * (weights > 0).sum() / weights.sum().clamp(min=tiny)
    total = weights.sum().clamp(min=tiny)
    mean = (weights[:, None] * rows).sum(dim=0) / total
    root = weights.sqrt()[:, None]
    centred = ((rows - mean) * root).t()
    return centred.masked_fill(
        lacks_spread(centred, (rows * root).t(), dim=1), 0.0)
