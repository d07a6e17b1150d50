"""Classical knowledge distillation as one undecoupled stream."""
from typing import Optional, Tuple

from torch import Tensor

from mmdeepkd.functional import kd_divergence
from mmdeepkd.registry import MODELS

from .base import DistillationLoss, check_weight


@MODELS.register_module()
class KDLoss(DistillationLoss):
    r"""The divergence of the softened student from the teacher.

    .. math:: L = w \, T^2 \, \mathrm{KL}(p^t \,\|\, p^s)

    See "Distilling the Knowledge in a Neural Network" (Hinton et al. 2015),
    section 2; with ``standardize`` "Logit Standardization in Knowledge
    Distillation" (Sun et al. 2024). The target is not used.

    Args:
        temperature: The positive temperature T.
        loss_weight: The weight w, finite and >= 0.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = KDLoss(temperature=1.)
        >>> loss(torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...      torch.tensor([1]))
        {'distill': tensor(0.1109)}
    """

    streams = ('distill', )
    method = 'kd'
    uses_target = False

    def __init__(self,
                 temperature: float = 4.0,
                 loss_weight: float = 1.0,
                 standardize: bool = False) -> None:
        super().__init__(temperature, standardize)
        check_weight(loss_weight, 'loss_weight')
        self.loss_weight = loss_weight

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted divergence, (N,)."""
        divergence = kd_divergence(logits_student, logits_teacher,
                                   self.temperature)
        return (self.loss_weight * divergence, )
