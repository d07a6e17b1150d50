"""DKD with a choice of the class split off and of the divergence."""
from typing import Optional, Tuple

from torch import Tensor

from mmdeepkd.functional import dkd_divergences
from mmdeepkd.functional.groups import KL_TYPES
from mmdeepkd.functional.inputs import check_choice
from mmdeepkd.registry import MODELS

from .dkd_loss import DKDLoss


@MODELS.register_module()
class DKDModLoss(DKDLoss):
    r"""DKD split at the target or at the teacher's best class.

    .. math:: L = \alpha\,\mathrm{TCKD} + \beta\,\mathrm{NCKD}

    Released code only (ZaberKo/GDKD, ``DKDMod.py``); streams as of
    :class:`DKDLoss`, which it equals at the default ``split`` and
    ``kl_type``.

    Args:
        alpha: Weight of TCKD, finite and >= 0.
        beta: Weight of NCKD, finite and >= 0.
        temperature: The positive temperature.
        split: 'target' splits off the target class; 'top1' the teacher's
            best class and needs no target: soft scores are accepted.
        kl_type: The order in NCKD: 'forward' (teacher first), 'reverse' or
            'both', their mean.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = DKDModLoss(temperature=1., split='top1')
        >>> loss(torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...      torch.tensor([0]))
        {'target': tensor(0.1109), 'non_target': tensor(0.)}
    """

    method = 'dkdmod'

    def __init__(self,
                 alpha: float = 1.0,
                 beta: float = 8.0,
                 temperature: float = 4.0,
                 split: str = 'target',
                 kl_type: str = 'forward',
                 standardize: bool = False) -> None:
        super().__init__(alpha, beta, temperature, standardize)
        check_choice(split, 'split', ('target', 'top1'))
        check_choice(kl_type, 'kl_type', KL_TYPES)
        self.split = split
        self.kl_type = kl_type
        self.uses_target = split == 'target'

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted TCKD and NCKD, each (N,)."""
        if not self.uses_target:
            target = logits_teacher.argmax(dim=1)
        tckd, nckd = dkd_divergences(
            logits_student,
            logits_teacher,
            target,
            self.temperature,
            kl_type=self.kl_type)
        return self.alpha * tckd, self.beta * nckd
