"""Generalised DKD: groups of the teacher's classes, in two streams."""
from abc import abstractmethod
from typing import Optional, Sequence, Tuple

from torch import Tensor

from mmdeepkd.functional import gdkd3_divergences, gdkd_divergences
from mmdeepkd.functional.gdkd import check_group_size
from mmdeepkd.functional.groups import KL_TYPES
from mmdeepkd.functional.inputs import check_choice
from mmdeepkd.registry import MODELS

from .base import DistillationLoss, check_weights


class GroupLoss(DistillationLoss):
    r"""A loss on groups of classes that the teacher's ranking forms.

    .. math:: L = w_0\,\mathrm{high} + w_1\,\mathrm{low_{top}} +
        w_2\,\mathrm{low_{other}}

    The divergence between the groups is the stream ``target``, the two
    inside groups are ``non_target``. The target is not used.

    Args:
        k: How many of the teacher's best classes are set apart, 1 to C.
        weights: (w0, w1, w2), each finite and >= 0.
        temperature: The positive temperature.
        standardize: Whether to standardise the logits of both first.
    """

    streams = ('target', 'non_target')
    uses_target = False

    def __init__(self, k: int, weights: Sequence[float], temperature: float,
                 standardize: bool) -> None:
        super().__init__(temperature, standardize)
        check_group_size(k)
        check_weights(weights, 'weights', 3)
        self.k = k
        self.weights = tuple(weights)

    @abstractmethod
    def divergences(self, logits_student: Tensor,
                    logits_teacher: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return high, low_top and low_other, each (N,)."""

    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted terms between and inside the groups, (N,)."""
        high, low_top, low_other = self.divergences(logits_student,
                                                    logits_teacher)
        return (self.weights[0] * high,
                self.weights[1] * low_top + self.weights[2] * low_other)


@MODELS.register_module()
class GDKDLoss(GroupLoss):
    r"""The teacher's k best classes against the rest.

    .. math:: L = w_0\,\mathrm{high} + w_1\,\mathrm{low_{top}} +
        w_2\,\mathrm{low_{other}}

    See :func:`mmdeepkd.functional.gdkd_divergences` and "Rethinking
    Decoupled Knowledge Distillation: A Predictive Distribution Perspective"
    (Zheng and Cheng 2025). The first term is the stream ``target``, the
    others are ``non_target``; the target is not used. The defaults are the
    authors' for CIFAR-100; for detection they use weights (1, 0.125, 0.25)
    and temperature 1.

    Args:
        k: How many of the teacher's classes form the first group, 1 to C.
        weights: (w0, w1, w2), each finite and >= 0.
        temperature: The positive temperature.
        kl_type: The order of the divergences inside the groups: 'forward'
            (teacher first), 'reverse' or 'both', their mean.
        strategy: Whether the first group are the teacher's 'best' or
            'worst' classes.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = GDKDLoss(k=1, temperature=1.)
        >>> loss(torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...      torch.tensor([1]))
        {'target': tensor(0.1109), 'non_target': tensor(0.)}
    """

    method = 'gdkd'

    def __init__(self,
                 k: int = 5,
                 weights: Sequence[float] = (1.0, 1.0, 8.0),
                 temperature: float = 4.0,
                 kl_type: str = 'forward',
                 strategy: str = 'best',
                 standardize: bool = False) -> None:
        super().__init__(k, weights, temperature, standardize)
        check_choice(kl_type, 'kl_type', KL_TYPES)
        check_choice(strategy, 'strategy', ('best', 'worst'))
        self.kl_type = kl_type
        self.strategy = strategy

    def divergences(self, logits_student: Tensor,
                    logits_teacher: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return high, low_top and low_other, each (N,)."""
        return gdkd_divergences(logits_student, logits_teacher,
                                self.temperature, self.k, self.kl_type,
                                self.strategy)


@MODELS.register_module()
class GDKD3Loss(GroupLoss):
    r"""The teacher's best class, its ranks 2 to k, and the rest.

    .. math:: L = w_0\,\mathrm{high} + w_1\,\mathrm{low_{top}} +
        w_2\,\mathrm{low_{other}}

    See :func:`mmdeepkd.functional.gdkd3_divergences`; paper and streams as
    of :class:`GDKDLoss`. The defaults are the authors' for CIFAR-100.

    Args:
        k: The last rank of the second group, 1 to C.
        weights: (w0, w1, w2), each finite and >= 0.
        temperature: The positive temperature.
        standardize: Whether to standardise the logits of both first.

    Example:
        >>> import torch
        >>> loss = GDKD3Loss(k=2, temperature=1.)
        >>> loss(torch.zeros(1, 3), torch.tensor([[0., 1., 0.]]),
        ...      torch.tensor([1]))
        {'target': tensor(0.1233), 'non_target': tensor(0.)}
    """

    method = 'gdkd3'

    def __init__(self,
                 k: int = 4,
                 weights: Sequence[float] = (1.0, 1.0, 8.0),
                 temperature: float = 4.0,
                 standardize: bool = False) -> None:
        super().__init__(k, weights, temperature, standardize)

    def divergences(self, logits_student: Tensor,
                    logits_teacher: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return high, low_top and low_other, each (N,)."""
        return gdkd3_divergences(logits_student, logits_teacher,
                                 self.temperature, self.k)
