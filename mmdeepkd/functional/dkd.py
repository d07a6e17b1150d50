"""The decoupled parts of KD: target class and non-target classes."""
from typing import Optional, Tuple

import torch
from torch import Tensor

from .fused_dkd import FusedDKD
from .groups import divergence_between, divergence_within, log_group_masses
from .inputs import (
    check_logits,
    check_logits_pair,
    check_target,
    check_temperature,
    one_hot,
    upcast,
    without_autocast,
)
from .topk import check_count, topk_keep_mask


def non_target_mass(logits_teacher: Tensor, target: Tensor,
                    temperature: float) -> Tensor:
    """Return 1 - p(target) per row, exact also where p rounds to 1.

    Args:
        logits_teacher: Floating logits of shape (N, C), C >= 2.
        target: Class indices of shape (N,), int64.
        temperature: The positive temperature.

    Returns:
        Probabilities of shape (N,), float32 for half inputs.
    """
    check_logits(logits_teacher, 'logits_teacher')
    check_target(target, logits_teacher)
    check_temperature(temperature)
    with without_autocast(logits_teacher):
        teacher = upcast(logits_teacher) / temperature
        others = ~one_hot(target, teacher)
        return log_group_masses(teacher, (others, )).squeeze(1).exp()


def dkd_divergences(logits_student: Tensor,
                    logits_teacher: Tensor,
                    target: Tensor,
                    temperature: float,
                    keep: Optional[Tensor] = None,
                    kl_type: str = 'forward') -> Tuple[Tensor, Tensor]:
    r"""Return the target-class and the non-target-class divergence.

    .. math::
        \mathrm{TCKD} = T^2\,\mathrm{KL}(b^t \,\|\, b^s), \quad
        b = \bigl[p_y, \textstyle\sum_{c \ne y} p_c\bigr], \qquad
        \mathrm{NCKD} = T^2\,\mathrm{KL}(q^t \,\|\, q^s), \quad
        q = p \text{ renormalised on } c \ne y

    with :math:`T^2\,\mathrm{KL}(p^t \| p^s) = \mathrm{TCKD} + (1 - p^t_y)\,
    \mathrm{NCKD}`: "Decoupled Knowledge Distillation" (Zhao et al. 2022),
    section 3.1, "Reformulating KD". ``keep`` restricts q further, as the
    top-k mask of DeepKD does.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        target: Class indices of shape (N,), int64.
        temperature: The positive temperature T.
        keep: Bool mask of shape (N, C): the non-target classes that enter
            NCKD, all when None. Its target column is ignored. A row with
            none left has an NCKD and a gradient of exactly 0.
        kl_type: The order in NCKD: 'forward' has the teacher first,
            'reverse' the student, 'both' is the mean of the two. TCKD is
            always forward.

    Returns:
        ``(tckd, nckd)``, each of shape (N,), float32 for half inputs. Without
        ``keep``, forward and with a teacher that needs no gradient, they are
        those of :func:`deepkd_divergences`: differentiable once.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: A shape, a class index, the temperature or kl_type is
            wrong.

    Example:
        >>> import torch
        >>> tckd, nckd = dkd_divergences(
        ...     torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...     torch.tensor([1]), temperature=1.)
        >>> tckd, nckd
        (tensor([0.1109]), tensor([0.]))
    """
    check_logits_pair(logits_student, logits_teacher)
    check_target(target, logits_student)
    check_temperature(temperature)
    _check_keep(keep, logits_student)
    if (keep is None and kl_type == 'forward'
            and not logits_teacher.requires_grad):
        return _fused(logits_student, logits_teacher, target, temperature)[:2]
    with without_autocast(logits_student):
        student = upcast(logits_student) / temperature
        teacher = upcast(logits_teacher) / temperature
        is_target = one_hot(target, student)
        kept = ~is_target if keep is None else keep & ~is_target
        tckd = divergence_between(student, teacher, (is_target, ~is_target))
        nckd = divergence_within(student, teacher, kept, kl_type)
        return tckd * temperature**2, nckd * temperature**2


def deepkd_divergences(
        logits_student: Tensor,
        logits_teacher: Tensor,
        target: Tensor,
        temperature: float,
        topk: Optional[int] = None) -> Tuple[Tensor, Tensor, Tensor]:
    r"""Return TCKD, NCKD over the teacher's best classes, and 1 - p(target).

    What ``dkd_divergences`` gives with ``keep`` from ``topk_keep_mask``, and
    ``non_target_mass``, in one go: the terms of "DeepKD: A Deeply Decoupled
    and Denoised Knowledge Distillation Trainer" (Huang et al. 2025), whose
    streams each need their own backward. The gradients are closed forms,

    .. math::
        \frac{\partial\,\mathrm{TCKD}}{\partial z_y} = T (b^s_y - b^t_y),
        \quad
        \frac{\partial\,\mathrm{TCKD}}{\partial z_c} =
        -T (b^s_y - b^t_y)\, q^s_c, \quad
        \frac{\partial\,\mathrm{NCKD}}{\partial z_c} = T (q^s_c - q^t_c),

    each computed in its own stream's backward. They are not differentiable
    themselves: a second derivative raises. A teacher that requires a
    gradient gets it, at the speed of ``dkd_divergences`` with a mask.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        target: Class indices of shape (N,), int64.
        temperature: The positive temperature T.
        topk: How many of the teacher's best non-target classes enter NCKD,
            at least 1; all when None or from C - 1 on.

    Returns:
        ``(tckd, nckd, mass)``, each of shape (N,), float32 for half inputs;
        the mass, the factor of DeepKD over KD, does not carry T^2 and needs
        no gradient of the student.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: A shape, a class index, the temperature or topk is wrong.

    Example:
        >>> import torch
        >>> deepkd_divergences(
        ...     torch.zeros(1, 2), torch.tensor([[0., 1.]]),
        ...     torch.tensor([1]), temperature=1., topk=1)
        (tensor([0.1109]), tensor([0.]), tensor([0.2689]))
    """
    check_logits_pair(logits_student, logits_teacher)
    check_target(target, logits_student)
    check_temperature(temperature)
    if topk is not None:
        check_count(topk, 'topk')
    if logits_teacher.requires_grad:
        keep = None if topk is None else topk_keep_mask(
            logits_teacher, target, topk)
        return (*dkd_divergences(logits_student, logits_teacher, target,
                                 temperature, keep),
                non_target_mass(logits_teacher, target, temperature))
    return _fused(logits_student, logits_teacher, target, temperature, topk)


def _fused(logits_student: Tensor,
           logits_teacher: Tensor,
           target: Tensor,
           temperature: float,
           topk: Optional[int] = None) -> Tuple[Tensor, Tensor, Tensor]:
    if topk is not None and topk >= logits_student.size(1) - 1:
        topk = None
    # Autocast changes nothing there: what it computes with is float32 or
    # wider, whatever the logits are.
    tckd, nckd, mass = FusedDKD.apply(  # type: ignore[no-untyped-call]
        logits_student, logits_teacher, target, temperature, topk)
    return tckd, nckd, mass


def _check_keep(keep: Optional[Tensor], logits: Tensor) -> None:
    if keep is None:
        return
    if keep.dtype != torch.bool:
        raise TypeError(f'keep has dtype {keep.dtype} but must be bool: '
                        'topk_keep_mask makes such a mask.')
    if keep.shape != logits.shape:
        raise ValueError(f'keep has shape {tuple(keep.shape)} but the logits '
                         f'have {tuple(logits.shape)}: mask every column of '
                         'every row.')
