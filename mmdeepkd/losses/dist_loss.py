"""DIST as one undecoupled stream."""
from typing import Optional, Tuple

from torch import Tensor

from mmdeepkd.functional import dist_distances
from mmdeepkd.registry import MODELS

from .base import DistillationLoss, check_weight


@MODELS.register_module()
class DISTLoss(DistillationLoss):
    r"""Correlations within every sample and within every class.

    .. math:: L = \beta \frac{1}{N} \sum_n \mathrm{inter}_n +
        \gamma \frac{1}{C} \sum_c \mathrm{intra}_c

    See :func:`mmdeepkd.functional.dist_distances` and "Knowledge
    Distillation from A Stronger Teacher" (Huang et al. 2022), section 3. The
    stream is ``distill``; the target is not used.

    The second term is a statistic of the batch. With sample weights it is
    the weighted statistic, counted once for every sample, so that ``weight``
    and ``avg_factor`` reduce both terms alike and a sample of weight 0 is
    absent from both.

    Args:
        beta: Weight of the distance within samples, finite and >= 0.
        gamma: Weight of the distance within classes, finite and >= 0.
        temperature: The positive temperature.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = DISTLoss(temperature=1.)
        >>> losses = loss(torch.randn(8, 10), torch.randn(8, 10),
        ...               torch.randint(10, (8, )))
        >>> sorted(losses)
        ['distill']
    """

    streams = ('distill', )
    method = 'dist'
    uses_target = False

    def __init__(self,
                 beta: float = 2.0,
                 gamma: float = 2.0,
                 temperature: float = 4.0,
                 standardize: bool = False) -> None:
        super().__init__(temperature, standardize)
        check_weight(beta, 'beta')
        check_weight(gamma, 'gamma')
        self.beta = beta
        self.gamma = gamma

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted distances, (N,)."""
        inter, intra = dist_distances(logits_student, logits_teacher,
                                      self.temperature, weight)
        return (self.beta * inter + self.gamma * intra.mean(), )
