"""The decoupled parts of KD: target class and non-target classes.

Everything stays in log space with *finite* stand-ins for the log of zero, so
that no masked column can turn into a NaN in the backward pass.
"""
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import (
    check_logits,
    check_logits_pair,
    check_target,
    check_temperature,
    one_hot,
    upcast,
    without_autocast,
)
from .kd import kl_from_log_probs


def _log_target_masses(logits: Tensor, is_target: Tensor) -> Tensor:
    """Return log [p_target, p_others] as (N, 2), without forming 1 - p."""
    log_probs = F.log_softmax(logits, dim=1)
    lowest = torch.finfo(logits.dtype).min
    # Not gather: its backward is not deterministic on CUDA.
    log_target = log_probs.masked_fill(~is_target, 0.0).sum(dim=1)
    log_others = log_probs.masked_fill(is_target, lowest).logsumexp(dim=1)
    return torch.stack((log_target, log_others), dim=1)


def _log_softmax_within(logits: Tensor, kept: Tensor) -> Tensor:
    """Return the log-softmax over the kept columns, 0 in the others.

    The zeros make a removed column contribute exactly 0 to a divergence and
    block its gradient, however large the logits; a row with nothing kept is
    all zeros.
    """
    lowest = torch.finfo(logits.dtype).min
    log_probs = F.log_softmax(logits.masked_fill(~kept, lowest), dim=1)
    return log_probs.masked_fill(~kept, 0.0)


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
        masses = _log_target_masses(teacher, one_hot(target, teacher))
        return masses[:, 1].exp()


def dkd_divergences(logits_student: Tensor,
                    logits_teacher: Tensor,
                    target: Tensor,
                    temperature: float,
                    keep: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
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

    Returns:
        ``(tckd, nckd)``, each of shape (N,), float32 for half inputs.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: A shape, a class index or the temperature is wrong.

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
    with without_autocast(logits_student):
        student = upcast(logits_student) / temperature
        teacher = upcast(logits_teacher) / temperature
        is_target = one_hot(target, student)
        kept = ~is_target if keep is None else keep & ~is_target
        tckd = kl_from_log_probs(
            _log_target_masses(teacher, is_target),
            _log_target_masses(student, is_target))
        nckd = kl_from_log_probs(
            _log_softmax_within(teacher, kept),
            _log_softmax_within(student, kept))
        return tckd * temperature**2, nckd * temperature**2


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
