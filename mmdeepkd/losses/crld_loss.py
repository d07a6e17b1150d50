"""Cross-view consistency distillation of two views."""
from typing import Optional, Tuple

from torch import Tensor

from mmdeepkd.functional.confidence import sample_confidence
from mmdeepkd.registry import MODELS

from .base import check_weight
from .two_view_loss import TwoViewLoss, Views


@MODELS.register_module()
class CRLDLoss(TwoViewLoss):
    r"""Distillation within and across the views, where the teacher is sure.

    .. math:: L = w_v\, m^w_n \bigl[ D(s^w_n, t^w_n) + D(s^s_n, t^s_n) \bigr]
        + w_c\, m^s_n \bigl[ D(s^s_n, t^w_n) + D(s^w_n, t^s_n) \bigr]

    for every sample n of the weak (w) and the strong (s) view of student s
    and teacher t, where D is the divergence of KD. m^w_n is 1 where the
    teacher's confidence (at T = 1) in the weak view is at least
    ``tau_weak``, m^s_n the same of the strong view. See "Cross-View
    Consistency Regularisation for Knowledge Distillation" (Zhang et al.
    2024), section 3.

    With ``base`` D is decoupled as in DeepKD, in the streams ``target`` and
    ``non_target``. ``semantics='released'`` then computes what DeepKD's code
    does: a mask does not select samples, it scales the mean over all of them
    by the share that it marks; see also :class:`DeepKDLoss`. Without ``base``
    the release selects samples too, and both semantics are the same.

    Args:
        temperature: The positive temperature.
        wv_weight: The weight w_v within the views, finite and >= 0.
        cv_weight: The weight w_c across the views, finite and >= 0.
        tau_weak: Least confidence in the weak view, in [0, 1].
        tau_strong: Least confidence in the strong view, in [0, 1].
        base: None for CRLD, 'kd' or 'dkd' for DeepKD over it.
        alpha: Weight of TCKD, with ``base``; finite and >= 0.
        beta: Weight of NCKD, with ``base``; finite and >= 0.
        topk: How many non-target classes to keep, with ``base``; None keeps
            all.
        standardize: Whether to standardise the logits of D; confidences are
            those of the logits as they are.
        semantics: 'paper' or 'released'.

    Example:
        >>> import torch
        >>> views = torch.randn(2, 8, 10)
        >>> losses = CRLDLoss(base='kd')(list(views), list(views.flip(2)),
        ...                              torch.randint(10, (8, )))
        >>> sorted(losses)
        ['non_target', 'target']
    """

    method = 'crld'

    def __init__(self,
                 temperature: float = 4.0,
                 wv_weight: float = 2.0,
                 cv_weight: float = 0.5,
                 tau_weak: float = 0.9,
                 tau_strong: float = 0.2,
                 base: Optional[str] = None,
                 alpha: float = 1.0,
                 beta: float = 1.0,
                 topk: Optional[int] = None,
                 standardize: bool = False,
                 semantics: str = 'paper') -> None:
        super().__init__((temperature, ), base, alpha, beta, topk, standardize,
                         semantics)
        check_weight(wv_weight, 'wv_weight')
        check_weight(cv_weight, 'cv_weight')
        _check_confidence(tau_weak, 'tau_weak')
        _check_confidence(tau_strong, 'tau_strong')
        self.wv_weight = wv_weight
        self.cv_weight = cv_weight
        self.tau_weak = tau_weak
        self.tau_strong = tau_strong

    def per_sample(self, logits_student: Views, logits_teacher: Views,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted terms, each (N,), in the order of streams."""
        student_weak, student_strong = logits_student
        teacher_weak, teacher_strong = logits_teacher
        within = self.wv_weight * self._mask(teacher_weak, self.tau_weak)
        across = self.cv_weight * self._mask(teacher_strong, self.tau_strong)
        return tuple(self.distil([
            (student_weak, teacher_weak, within),
            (student_strong, teacher_strong, within),
            (student_strong, teacher_weak, across),
            (student_weak, teacher_strong, across),
        ], target, weight))

    def _mask(self, logits_teacher: Tensor, tau: float) -> Tensor:
        confidence = sample_confidence(logits_teacher)
        mask = (confidence >= tau).to(confidence.dtype)
        share_only = self.semantics == 'released' and self.base is not None
        return mask.mean() if share_only else mask


def _check_confidence(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f'{name} is {value} but must be in [0, 1]: it is a '
                         'probability; 0 distils every sample.')
