"""Which non-target classes are distilled, and how many of them when."""
import math
from typing import Tuple

import torch
from torch import Tensor

from .inputs import check_int, check_logits, check_target, one_hot, upcast

# A product such as 0.07 * 100 or an epoch ratio lands an ulp off the whole
# or half number that is meant; K must not depend on which side.
_ROUNDING = 1e-9


def topk_keep_mask(logits_teacher: Tensor, target: Tensor, k: int) -> Tensor:
    """Return the mask of the teacher's k best non-target classes.

    keep[n, c] = c != target[n] and rank of c among the non-targets <= k,
    where rank 1 is the largest logit: the dynamic top-k mask of DeepKD. The
    target is excluded before the ranking, so exactly k classes remain.

    Args:
        logits_teacher: Floating logits of shape (N, C), C >= 2.
        target: Class indices of shape (N,), int64.
        k: How many classes to keep, at least 1. From C - 1 on every
            non-target class is kept.

    Returns:
        Bool mask of shape (N, C), for ``keep`` of ``dkd_divergences``.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: A shape or a class index is wrong, or k < 1.

    Example:
        >>> import torch
        >>> topk_keep_mask(
        ...     torch.tensor([[3., 1., 2., 0.]]), torch.tensor([0]), k=2)
        tensor([[False,  True,  True, False]])
    """
    check_logits(logits_teacher, 'logits_teacher')
    check_target(target, logits_teacher)
    check_count(k, 'k')
    is_target = one_hot(target, logits_teacher)
    if k >= logits_teacher.size(1) - 1:
        return ~is_target
    best = best_others(logits_teacher, target, k)
    return torch.zeros_like(is_target).scatter_(1, best, True)


def best_others(logits_teacher: Tensor, target: Tensor, k: int) -> Tensor:
    """Return the columns (N, k) of each row's k best non-target classes.

    In no order: on a CPU, sorting them would more than double the time.
    """
    others = upcast(logits_teacher).scatter(1, target.unsqueeze(1), -math.inf)
    return others.topk(k, dim=1, sorted=False).indices


def dynamic_topk(progress: float,
                 num_classes: int,
                 static_k: int,
                 initial_ratio: float = 0.05,
                 phases: Tuple[float, float] = (0.3, 0.7)) -> int:
    r"""Return the number of non-target classes at a point of the training.

    .. math:: K(p) = \begin{cases}
        k_0 + (k - k_0)\, p / p_1 & p < p_1 \\
        k & p_1 \le p \le p_2 \\
        k + (n - k)\,(p - p_2) / (1 - p_2) & p > p_2 \end{cases}

    with :math:`n = C - 1`, :math:`k_0 = \min(\max(1, \lceil r C \rceil), k)`,
    rounded half up: the easy, transition and hard phase of DeepKD's dynamic
    top-k mask. The paper gives neither phase lengths nor a rounding; those
    defaults are this package's choice.

    Args:
        progress: p, the fraction of the training done, in [0, 1]. A run of
            one step has progress 1.
        num_classes: C, the number of logit columns, at least 2 (81 for a
            two-stage detector on COCO: the background counts).
        static_k: k, the number of classes in the transition phase, at least
            1; above C - 1 it means every non-target class.
        initial_ratio: r, the share of C kept at the start, in [0, 1].
        phases: (p1, p2), the end of the easy and the start of the hard
            phase, 0 <= p1 <= p2 <= 1. With p1 = 0 there is no easy phase,
            with p2 = 1 no hard one.

    Returns:
        K, between 1 and C - 1.

    Raises:
        TypeError: A count is not an integer.
        ValueError: An argument is outside the range given above.

    Example:
        >>> [dynamic_topk(p, 100, 40) for p in (0., 0.15, 0.5, 1.)]
        [5, 23, 40, 99]
    """
    _check_schedule(progress, num_classes, static_k, initial_ratio, phases)
    first_end, last_start = phases
    num_others = num_classes - 1
    static_k = min(static_k, num_others)
    share = math.ceil(initial_ratio * num_classes - _ROUNDING)
    initial_k = min(max(1, share), static_k)
    value = float(static_k)
    if progress < first_end:
        value = initial_k + (static_k - initial_k) * progress / first_end
    elif progress > last_start:
        done = (progress - last_start) / (1 - last_start)
        value = static_k + (num_others - static_k) * done
    return math.floor(value + 0.5 + _ROUNDING)


def check_count(value: int, name: str, least: int = 1) -> None:
    """Raise unless ``value`` is an int and not below ``least``."""
    check_int(value, name)
    if value < least:
        raise ValueError(f'{name} is {value} but must be at least {least}: '
                         'at least 1 non-target class is distilled.')


def _check_schedule(progress: float, num_classes: int, static_k: int,
                    initial_ratio: float, phases: Tuple[float, float]) -> None:
    check_count(num_classes, 'num_classes', least=2)
    check_count(static_k, 'static_k')
    if not 0 <= progress <= 1:
        raise ValueError(f'progress is {progress} but must be in [0, 1]: '
                         'pass epoch / (max_epochs - 1).')
    if not 0 <= initial_ratio <= 1:
        raise ValueError(f'initial_ratio is {initial_ratio} but must be in '
                         '[0, 1]: it is a share of the classes.')
    if len(phases) != 2 or not 0 <= phases[0] <= phases[1] <= 1:
        raise ValueError(f'phases is {phases} but must be two rising '
                         'fractions in [0, 1], such as (0.3, 0.7).')
