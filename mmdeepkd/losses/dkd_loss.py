"""Decoupled knowledge distillation in two streams."""
from typing import Optional, Tuple

from torch import Tensor

from mmdeepkd.functional import dkd_divergences
from mmdeepkd.registry import MODELS

from .base import DistillationLoss, check_weight, scaled


@MODELS.register_module()
class DKDLoss(DistillationLoss):
    r"""Target-class and non-target-class divergence with free weights.

    .. math:: L = \alpha\,\mathrm{TCKD} + \beta\,\mathrm{NCKD}

    See "Decoupled Knowledge Distillation" (Zhao et al. 2022), section 3.3.
    The first term is the stream ``target``, the second ``non_target``. The
    defaults are the authors' for CIFAR-100; for detection they use beta 0.25
    and temperature 1.

    Args:
        alpha: Weight of TCKD, finite and >= 0.
        beta: Weight of NCKD, finite and >= 0.
        temperature: The positive temperature.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = DKDLoss(temperature=1.)
        >>> loss(torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...      torch.tensor([1]))
        {'target': tensor(0.1109), 'non_target': tensor(0.)}
    """

    streams = ('target', 'non_target')
    method = 'dkd'

    def __init__(self,
                 alpha: float = 1.0,
                 beta: float = 8.0,
                 temperature: float = 4.0,
                 standardize: bool = False) -> None:
        super().__init__(temperature, standardize)
        check_weight(alpha, 'alpha')
        check_weight(beta, 'beta')
        self.alpha = alpha
        self.beta = beta

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted TCKD and NCKD, each (N,)."""
        tckd, nckd = dkd_divergences(logits_student, logits_teacher, target,
                                     self.temperature)
        return scaled(self.alpha, tckd), scaled(self.beta, nckd)
