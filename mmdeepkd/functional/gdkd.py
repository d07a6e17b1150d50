"""The divergences of GDKD: the teacher's best classes against the rest."""
from typing import Tuple

import torch
from torch import Tensor

from .groups import divergence_between, divergence_within, log_group_masses
from .inputs import (
    check_choice,
    check_int,
    check_logits,
    check_logits_pair,
    check_temperature,
    upcast,
    without_autocast,
)


def gdkd_divergences(logits_student: Tensor,
                     logits_teacher: Tensor,
                     temperature: float,
                     k: int,
                     kl_type: str = 'forward',
                     strategy: str = 'best') -> Tuple[Tensor, Tensor, Tensor]:
    r"""Return the divergence of two groups of classes and of each inside.

    .. math::
        \mathrm{high} = T^2\,\mathrm{KL}(b^t \,\|\, b^s), \quad
        b = \bigl[\textstyle\sum_{c \in U} p_c, \sum_{c \notin U} p_c\bigr],
        \qquad \mathrm{low}_G = T^2\,\mathrm{KL}(q^t_G \,\|\, q^s_G)

    where U are the teacher's k best classes, q_G is p renormalised on G,
    and G is U (``low_top``) or its complement (``low_other``), so that
    :math:`T^2\,\mathrm{KL}(p^t \| p^s) = \mathrm{high} + b^t_0\,
    \mathrm{low\_top} + b^t_1\,\mathrm{low\_other}`. See "Rethinking
    Decoupled Knowledge Distillation: A Predictive Distribution Perspective"
    (Zheng and Cheng 2025), the GDKD loss, and its released code
    (ZaberKo/GDKD, ``GDKD.py``). The label plays no part.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T.
        k: How many classes are in U, 1 to C. A group with less than two
            classes has a divergence inside of exactly 0.
        kl_type: The order inside the groups: 'forward' has the teacher
            first, 'reverse' the student, 'both' is the mean of the two.
            ``high`` is always forward.
        strategy: 'best' takes the teacher's k largest logits as U, 'worst'
            the k smallest.

    Returns:
        ``(high, low_top, low_other)``, each of shape (N,), float32 for half
        inputs.

    Raises:
        TypeError: A dtype is wrong, or k is not an int.
        ValueError: A shape, the temperature, kl_type or strategy is wrong,
            or k is outside 1 to C.

    Example:
        >>> import torch
        >>> gdkd_divergences(torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...                  temperature=1., k=1)
        (tensor([0.1109]), tensor([0.]), tensor([0.]))
    """
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    check_choice(strategy, 'strategy', ('best', 'worst'))
    with without_autocast(logits_student):
        student = upcast(logits_student) / temperature
        teacher = upcast(logits_teacher) / temperature
        top = top_mask(logits_teacher, k, largest=strategy == 'best')
        high = divergence_between(student, teacher, (top, ~top))
        low_top = divergence_within(student, teacher, top, kl_type)
        low_other = divergence_within(student, teacher, ~top, kl_type)
        square = temperature**2
        return high * square, low_top * square, low_other * square


def gdkd3_divergences(logits_student: Tensor, logits_teacher: Tensor,
                      temperature: float,
                      k: int) -> Tuple[Tensor, Tensor, Tensor]:
    r"""Return the divergence of three groups of classes and of two inside.

    As :func:`gdkd_divergences`, with the groups {best class}, {ranks 2 to
    k}, {the others} of the teacher: ``high`` compares three masses,
    ``low_top`` the classes of rank 2 to k, ``low_other`` the others (the
    best class alone has nothing inside). Source: GDKD3 of the same paper and
    released code (ZaberKo/GDKD, ``GDKD3.py``).

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T.
        k: The last rank of the second group, 1 to C. With 1 the second
            group is empty, with C the third; it then contributes exactly 0.

    Returns:
        ``(high, low_top, low_other)``, each of shape (N,), float32 for half
        inputs.

    Raises:
        TypeError: A dtype is wrong, or k is not an int.
        ValueError: A shape or the temperature is wrong, or k is outside 1
            to C.

    Example:
        >>> import torch
        >>> gdkd3_divergences(torch.zeros(1, 3), torch.tensor([[0., 1., 0.]]),
        ...                   temperature=1., k=2)
        (tensor([0.1233]), tensor([0.]), tensor([0.]))
    """
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    with without_autocast(logits_student):
        student = upcast(logits_student) / temperature
        teacher = upcast(logits_teacher) / temperature
        ranked = _rank(logits_teacher, k)
        top = _columns_mask(ranked, logits_teacher)
        best = _columns_mask(ranked[:, :1], logits_teacher)
        second = top & ~best
        high = divergence_between(student, teacher, (best, second, ~top))
        low_top = divergence_within(student, teacher, second)
        low_other = divergence_within(student, teacher, ~top)
        square = temperature**2
        return high * square, low_top * square, low_other * square


def top_group_masses(logits_teacher: Tensor, temperature: float,
                     k: int) -> Tuple[Tensor, Tensor]:
    """Return the teacher's probability of its k best classes and the rest.

    Args:
        logits_teacher: Floating logits of shape (N, C), C >= 2.
        temperature: The positive temperature.
        k: How many classes are best, 1 to C.

    Returns:
        Two tensors of shape (N,), exact also where one rounds to 1; float32
        for half inputs.
    """
    check_logits(logits_teacher, 'logits_teacher')
    check_temperature(temperature)
    with without_autocast(logits_teacher):
        teacher = upcast(logits_teacher) / temperature
        top = top_mask(logits_teacher, k)
        masses = log_group_masses(teacher, (top, ~top)).exp()
        return masses[:, 0], masses[:, 1]


def top_mask(logits: Tensor, k: int, largest: bool = True) -> Tensor:
    """Return the bool (N, C) mask of every row's k largest logits.

    Raises:
        TypeError: k is not an int.
        ValueError: k is outside 1 to C.
    """
    return _columns_mask(_rank(logits, k, largest), logits)


def check_group_size(k: int) -> None:
    """Raise unless ``k`` is an int and at least 1."""
    check_int(k, 'k')
    if k < 1:
        raise ValueError(f'k is {k} but must be at least 1: the first group '
                         "holds the teacher's best class.")


def _rank(logits: Tensor, k: int, largest: bool = True) -> Tensor:
    """Return the columns (N, k) of the k largest logits, best first."""
    check_group_size(k)
    num_classes = logits.size(1)
    if k > num_classes:
        raise ValueError(f'k is {k} but the logits have {num_classes} class '
                         f'columns: choose k from 1 to {num_classes}.')
    return upcast(logits).topk(k, dim=1, largest=largest).indices


def _columns_mask(columns: Tensor, logits: Tensor) -> Tensor:
    mask = torch.zeros_like(logits, dtype=torch.bool)
    return mask.scatter_(1, columns, True)
