"""A number of classes, and phases, from the teacher's logits alone.

DeepKD publishes neither a static K nor phase lengths for its dynamic top-k
mask. What is proposed here is this package's own: both follow from how much
of the teacher's non-target mass its best classes hold.
"""
import math
from typing import Sequence, Tuple

from torch import Tensor

from .inputs import (
    check_logits,
    check_target,
    check_temperature,
    without_autocast,
)

# What float64 sums of probabilities may be off: 19 of 20 equal classes hold
# 95 %, whichever way they are added.
_ROUNDING = 1e-9


def covered_mass(logits_teacher: Tensor, target: Tensor,
                 temperature: float) -> Tensor:
    r"""Return what the teacher's best non-target classes hold of all of them.

    .. math:: m_n(k) = \sum_{j=1}^{k} q_{n(j)}, \qquad
        q_{nc} = \mathrm{softmax}_{c \ne y_n}(z_{nc} / T)

    where (1), (2), ... are the non-target classes from the largest logit
    down: the mass that DeepKD's mask ("DeepKD", Huang et al. 2025, dynamic
    top-k mask) keeps of the distribution that NCKD distils.

    Args:
        logits_teacher: Floating logits of shape (N, C), C >= 2.
        target: Class indices of shape (N,), int64.
        temperature: The positive temperature T.

    Returns:
        Shares of shape (N, C - 1), float64, for k = 1 to C - 1: rising, the
        last is 1.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: A shape, a class index or the temperature is wrong.

    Example:
        >>> import torch
        >>> covered_mass(torch.zeros(1, 3), torch.tensor([0]), 1.)
        tensor([[0.5000, 1.0000]], dtype=torch.float64)
    """
    check_logits(logits_teacher, 'logits_teacher')
    check_target(target, logits_teacher)
    check_temperature(temperature)
    with without_autocast(logits_teacher):
        logits = logits_teacher.double() / temperature
        others = logits.scatter(1, target.unsqueeze(1), -math.inf)
        # The target is the last of each row, and falls off.
        ranked = others.sort(dim=1, descending=True).values[:, :-1]
        return ranked.softmax(dim=1).cumsum(dim=1).clamp(max=1.0)


def covering_counts(covered: Tensor, share: float) -> Tensor:
    r"""Return the fewest best classes that hold a share, row by row.

    .. math:: K_n = \min \{k : m_n(k) \ge s\}

    Args:
        covered: m, shares of shape (N, C - 1), from :func:`covered_mass`.
        share: s, in (0, 1).

    Returns:
        Counts of shape (N,), int64, from 1 to C - 1.

    Raises:
        ValueError: The share is outside (0, 1).

    Example:
        >>> import torch
        >>> covering_counts(torch.tensor([[0.6, 0.9, 1.0]]), share=0.8)
        tensor([2])
    """
    check_share(share)
    short = covered < share - _ROUNDING
    return (short.sum(dim=1) + 1).clamp(max=covered.size(1))


def proposed_topk(mean_count: float, num_non_target: int) -> int:
    """Return the static K for a mean of :func:`covering_counts`.

    It is the mean rounded half up, but not below 2 where there are two
    classes: within a single class there is nothing to distil.

    Args:
        mean_count: The mean of the counts over samples.
        num_non_target: C - 1.

    Example:
        >>> proposed_topk(22.5, 99), proposed_topk(1.1, 99)
        (23, 2)
    """
    rounded = math.floor(mean_count + 0.5 + _ROUNDING)
    return min(max(rounded, 2), num_non_target)


def proposed_phases(mean_covered: Sequence[float], initial_k: int,
                    static_k: int) -> Tuple[float, float]:
    r"""Return phases that each last the share of the mass that is theirs.

    .. math:: p_1 = m(k_0), \qquad p_2 = m(K)

    K grows for what the :math:`k_0` classes to begin with hold, stays for
    what the growth has added, :math:`p_2 - p_1 = m(K) - m(k_0)`, and grows to
    all classes for the rest, :math:`1 - p_2`: the less of the mass the first
    classes hold, the sooner the others come. Of a K that is proposed for a
    share of the mass :math:`p_2` is about that share: 0.95 leaves a twentieth
    of the training for the growth to all classes.

    Args:
        mean_covered: m, for k = 1 to C - 1 the mean of
            :func:`covered_mass` over samples.
        initial_k: :math:`k_0`, the K to begin with, at most ``static_k``.
        static_k: K of the middle phase, at most C - 1.

    Returns:
        ``phases`` of :func:`dynamic_topk`, :math:`0 \le p_1 \le p_2 \le 1`,
        rounded to hundredths so that they can be written into a config.

    Example:
        >>> proposed_phases([0.5, 0.75, 0.875, 1.0], 1, 3)
        (0.5, 0.88)
    """
    first, static = mean_covered[initial_k - 1], mean_covered[static_k - 1]
    return round(first, 2), round(static, 2)


def check_share(share: float) -> None:
    """Raise unless ``share`` is a part of the mass, neither none nor all."""
    if not 0 < share < 1:
        raise ValueError(f'share is {share} but must be in (0, 1): it is the '
                         'part of the non-target mass that the best classes '
                         'are to hold, such as 0.95.')
