"""Multi-level logit distillation of two views."""
from typing import Optional, Sequence, Tuple

from torch import Tensor

from mmdeepkd.functional import batch_consistency, class_consistency
from mmdeepkd.functional.confidence import (
    class_confidence,
    lower_half,
    sample_confidence,
)
from mmdeepkd.registry import MODELS

from .base import check_weight
from .two_view_loss import TwoViewLoss, Views


@MODELS.register_module()
class MLKDLoss(TwoViewLoss):
    r"""Instance-, batch- and class-level distillation at many temperatures.

    .. math:: L = w \sum_T \Bigl[ m_n D(s^w_n, t^w_n) + D(s^s_n, t^s_n)
        + m_n B_n(s^w, t^w) + \frac{1}{C} \sum_c m_c C_c(s^w, t^w) \Bigr]

    for every sample n of the weak (w) and the strong (s) view of student s
    and teacher t, where D is the divergence of KD, B the batch and C the
    class consistency. The weak view counts where the teacher is unsure: m_n
    is 1 where its confidence (at T = 1) is not above the median of the batch,
    m_c the same of its classes. See "Multi-Level Logit Distillation" (Jin et
    al. 2023), section 3.

    With ``base`` D is decoupled as in DeepKD, in the streams ``target`` and
    ``non_target``; the consistencies are the stream ``distill``, which
    ``delta`` gives the momentum of the task. The release has them in the task
    stream itself, so that its optimizer knows no ``distill``: with ``base``
    this loss cannot train under ``DeepKDOptimWrapper(semantics='released')``.

    ``semantics='released'`` computes what DeepKD's code does: a mask does not
    select, it scales the mean over all samples (or classes) by the share that
    it marks; with ``base`` see also :class:`DeepKDLoss`. Two more differences
    have no option: there the warm-up, which here scales every term, leaves
    out plain MLKD and the consistencies, and without ``base`` the strong
    term takes the weak view at T = 2 and 6, a slip. Top-k and
    standardisation, which the release leaves out, are honoured.

    Args:
        temperatures: The positive temperatures T.
        loss_weight: The weight w, finite and >= 0.
        base: None for MLKD, 'kd' or 'dkd' for DeepKD over it.
        alpha: Weight of TCKD, with ``base``; finite and >= 0.
        beta: Weight of NCKD, with ``base``; finite and >= 0.
        topk: How many non-target classes to keep, with ``base``; None keeps
            all.
        standardize: Whether to standardise the logits of D; confidences and
            consistencies are those of the logits as they are.
        semantics: 'paper' or 'released'.

    Example:
        >>> import torch
        >>> views = torch.randn(2, 8, 10)
        >>> losses = MLKDLoss()(list(views), list(views.flip(2)),
        ...                     torch.randint(10, (8, )))
        >>> sorted(losses)
        ['distill']
    """

    method = 'mlkd'

    def __init__(self,
                 temperatures: Sequence[float] = (4.0, 3.0, 5.0, 2.0, 6.0),
                 loss_weight: float = 0.9,
                 base: Optional[str] = None,
                 alpha: float = 1.0,
                 beta: float = 1.0,
                 topk: Optional[int] = None,
                 standardize: bool = False,
                 semantics: str = 'paper') -> None:
        super().__init__(temperatures, base, alpha, beta, topk, standardize,
                         semantics)
        check_weight(loss_weight, 'loss_weight')
        self.temperatures = tuple(temperatures)
        self.loss_weight = loss_weight
        if base is not None:
            self.streams = (*self.streams, 'distill')

    def per_sample(self, logits_student: Views, logits_teacher: Views,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted terms, each (N,), in the order of streams."""
        weak, strong = zip(logits_student, logits_teacher)
        mask = self._mask(sample_confidence(weak[1]))
        consistency = self.loss_weight * self._consistency(*weak, mask)
        terms = self.distil([(*weak, self.loss_weight * mask),
                             (*strong, self.loss_weight)], target, weight)
        if self.base is None:
            return (terms[0] + consistency, )
        return (*terms, consistency)

    def _mask(self, confidence: Tensor) -> Tensor:
        mask = lower_half(confidence)
        return mask if self.semantics == 'paper' else mask.mean()

    def _consistency(self, student: Tensor, teacher: Tensor,
                     mask: Tensor) -> Tensor:
        """Return B_n + C, (N,): the class-level loss is every sample's."""
        class_mask = self._mask(class_confidence(teacher))
        total = 0.0
        for temperature in self.temperatures:
            by_class = class_consistency(student, teacher, temperature)
            by_sample = batch_consistency(student, teacher, temperature)
            total = total + mask * by_sample + (class_mask * by_class).mean()
        return total
