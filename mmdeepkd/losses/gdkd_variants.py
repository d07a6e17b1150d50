"""The experimental forms of GDKD in its authors' released code."""
from typing import Sequence, Tuple

from torch import Tensor

from mmdeepkd.functional import (
    gdkd_divergences,
    ls_gdkd_divergences,
    top_group_masses,
)
from mmdeepkd.functional.inputs import check_choice
from mmdeepkd.registry import MODELS

from .gdkd_loss import GroupLoss


@MODELS.register_module()
class LSGDKDLoss(GroupLoss):
    """GDKD on logits that are standardised as a whole or inside the groups.

    Released code only (ZaberKo/GDKD, ``LS_GDKD.py``); streams and weights
    as of :class:`GDKDLoss`.

    Args:
        k: How many of the teacher's best classes form the first group, 1 to
            C.
        weights: Of high, low_top and low_other, each finite and >= 0.
        temperature: The positive temperature.
        norm_mode: 'global' standardises all logits first and is
            ``GDKDLoss(standardize=True)``; 'both' only inside each group,
            'other' only inside the second, where high is of the logits
            themselves: :func:`mmdeepkd.functional.ls_gdkd_divergences`.

    Example:
        >>> import torch
        >>> loss = LSGDKDLoss(norm_mode='both')
        >>> losses = loss(torch.randn(8, 10), torch.randn(8, 10),
        ...               torch.randint(10, (8, )))
        >>> sorted(losses)
        ['non_target', 'target']
    """

    method = 'lsgdkd'

    def __init__(self,
                 k: int = 5,
                 weights: Sequence[float] = (1.0, 1.0, 8.0),
                 temperature: float = 4.0,
                 norm_mode: str = 'global') -> None:
        check_choice(norm_mode, 'norm_mode', ('global', 'both', 'other'))
        super().__init__(
            k, weights, temperature, standardize=norm_mode == 'global')
        self.norm_mode = norm_mode

    def divergences(self, logits_student: Tensor,
                    logits_teacher: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return high, low_top and low_other, each (N,)."""
        if self.norm_mode == 'global':
            return gdkd_divergences(logits_student, logits_teacher,
                                    self.temperature, self.k)
        return ls_gdkd_divergences(logits_student, logits_teacher,
                                   self.temperature, self.k, self.norm_mode)


@MODELS.register_module()
class GDKDAutoWLoss(GroupLoss):
    """GDKD whose inner terms weigh as much as the teacher's groups.

    A term inside a group is multiplied, sample by sample, by the teacher's
    probability of that group: as it occurs in KD. Released code only
    (ZaberKo/GDKD, ``GDKDAutoW.py``); streams as of :class:`GDKDLoss`.

    Args:
        k: How many of the teacher's best classes form the first group, 1 to
            C.
        weights: Of high, low_top and low_other, on top of the teacher's
            probabilities, each finite and >= 0. All 1 with mode 'v1' is KD.
            The defaults are the authors' of 'v1' for ResNet32x4 to
            ResNet8x4.
        temperature: The positive temperature, of the probabilities too.
        mode: 'v1' multiplies both inner terms, 'v2' only low_other, 'v3'
            only low_top.

    Example:
        >>> import torch
        >>> loss = GDKDAutoWLoss(mode='v2')
        >>> losses = loss(torch.randn(8, 10), torch.randn(8, 10),
        ...               torch.randint(10, (8, )))
        >>> sorted(losses)
        ['non_target', 'target']
    """

    method = 'gdkdautow'

    def __init__(self,
                 k: int = 5,
                 weights: Sequence[float] = (1.0, 6.0, 14.0),
                 temperature: float = 4.0,
                 mode: str = 'v1') -> None:
        super().__init__(k, weights, temperature, standardize=False)
        check_choice(mode, 'mode', ('v1', 'v2', 'v3'))
        self.mode = mode

    def divergences(self, logits_student: Tensor,
                    logits_teacher: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return high and the inner terms times their groups' masses."""
        high, low_top, low_other = gdkd_divergences(
            logits_student, logits_teacher, self.temperature, self.k)
        mass_top, mass_other = top_group_masses(logits_teacher,
                                                self.temperature, self.k)
        if self.mode != 'v2':
            low_top = mass_top * low_top
        if self.mode != 'v3':
            low_other = mass_other * low_other
        return high, low_top, low_other
