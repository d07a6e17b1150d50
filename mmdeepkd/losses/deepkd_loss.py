"""The distillation losses of DeepKD: decoupled, with a top-k mask."""
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmdeepkd.functional import (
    deepkd_divergences,
    dkd_divergences,
    kd_divergence,
)
from mmdeepkd.functional.dkd import non_target_mass
from mmdeepkd.functional.gdkd import top_mask
from mmdeepkd.functional.inputs import check_choice, one_hot
from mmdeepkd.functional.topk import check_count
from mmdeepkd.registry import MODELS

from .base import DistillationLoss, check_weight, scaled


@MODELS.register_module()
class DeepKDLoss(DistillationLoss):
    r"""KD or DKD in the streams of DeepKD, denoised by a top-k mask.

    .. math:: L = \alpha\,\mathrm{TCKD} + \beta\,m\,\mathrm{NCKD}_K, \qquad
        m = 1 - p^t_y \text{ (base 'kd')} \text{ or } 1 \text{ (base 'dkd')}

    See "DeepKD: A Deeply Decoupled and Denoised Knowledge Distillation
    Trainer" (Huang et al. 2025). The first term is the stream ``target``,
    the second ``non_target``. With base 'kd', alpha = beta = 1 and no mask
    both sum to KD exactly, sample by sample. NCKD_K runs over the teacher's
    K best non-target classes; ``DynamicTopKHook`` sets K.

    ``semantics='released'`` computes what the authors' code does, which
    differs in three ways:

    - m of base 'kd' is the mean of 1 - p over the batch (with sample
      weights the weighted mean), so that the term is a product of two batch
      means. ``weight`` and ``avg_factor`` reduce the divergence as always.
    - K is counted over all classes, the target included: a row keeps K - 1
      classes when the teacher ranks its target among the best K.
    - A row left with no class gets the KD divergence over all classes, its
      target included, instead of 0.

    The release ignores alpha, beta and the warm-up with base 'kd'; they are
    honoured here, and at their defaults, all 1, reproduce it.

    Attributes:
        topk: K, or None for all non-target classes; hooks may set it.

    Args:
        base: 'kd' weighs NCKD by 1 - p of the teacher, 'dkd' does not.
        alpha: Weight of TCKD, finite and >= 0.
        beta: Weight of NCKD, finite and >= 0.
        temperature: The positive temperature.
        topk: How many non-target classes to keep, at least 1; None keeps
            all.
        standardize: Whether to standardise the logits of both first.
        semantics: 'paper' or 'released'.

    Example:
        >>> import torch
        >>> loss = DeepKDLoss(temperature=1., topk=5)
        >>> losses = loss(torch.randn(8, 10), torch.randn(8, 10),
        ...               torch.randint(10, (8, )))
        >>> sorted(losses)
        ['non_target', 'target']
    """

    streams = ('target', 'non_target')
    method = 'deepkd'

    def __init__(self,
                 base: str = 'kd',
                 alpha: float = 1.0,
                 beta: float = 1.0,
                 temperature: float = 4.0,
                 topk: Optional[int] = None,
                 standardize: bool = False,
                 semantics: str = 'paper') -> None:
        super().__init__(temperature, standardize)
        check_choice(base, 'base', ('kd', 'dkd'))
        check_choice(semantics, 'semantics', ('paper', 'released'))
        check_weight(alpha, 'alpha')
        check_weight(beta, 'beta')
        if topk is not None:
            check_count(topk, 'topk')
        self.base = base
        self.alpha = alpha
        self.beta = beta
        self.topk = topk
        self.semantics = semantics

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted TCKD and NCKD, each (N,)."""
        if self.semantics == 'paper' or self.topk is None:
            tckd, nckd, mass = deepkd_divergences(logits_student,
                                                  logits_teacher, target,
                                                  self.temperature, self.topk)
        else:
            tckd, nckd, mass = self._released_terms(logits_student,
                                                    logits_teacher, target,
                                                    self.topk)
        if self.base == 'kd':
            if self.semantics == 'released':
                mass = _weighted_mean(mass, weight)
            nckd = nckd * mass
        return scaled(self.alpha, tckd), scaled(self.beta, nckd)

    def _released_terms(self, logits_student: Tensor, logits_teacher: Tensor,
                        target: Tensor, topk: int) -> Tuple[Tensor, ...]:
        best = top_mask(logits_teacher, min(topk, logits_teacher.size(1)))
        keep = best & ~one_hot(target, logits_teacher)
        tckd, nckd = dkd_divergences(logits_student, logits_teacher, target,
                                     self.temperature, keep)
        whole = kd_divergence(logits_student, logits_teacher,
                              self.temperature)
        mass = non_target_mass(logits_teacher, target, self.temperature)
        return tckd, torch.where(keep.any(dim=1), nckd, whole), mass


def _weighted_mean(values: Tensor, weight: Optional[Tensor]) -> Tensor:
    weights = torch.ones_like(values) if weight is None else weight.to(values)
    # All weights 0 must give the loss 0, not 0 * NaN.
    total = weights.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return (weights * values).sum() / total
