"""Divergences between and within groups of classes, in log space.

A group is a bool mask (N, C), row by row. Everything stays in log space with
*finite* stand-ins for the log of zero, so that no masked column can turn into
a NaN in the backward pass. An empty group has mass 0 and divergence 0.
"""
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import check_choice
from .kd import kl_from_log_probs

KL_TYPES = ('forward', 'reverse', 'both')


def log_group_masses(logits: Tensor, groups: Sequence[Tensor]) -> Tensor:
    """Return the log of every group's probability, without forming 1 - p.

    Args:
        logits: Tempered logits of shape (N, C), float32 or better.
        groups: G bool masks of shape (N, C).

    Returns:
        Finite logs of shape (N, G); the log of an empty group is the lowest
        finite number.
    """
    log_probs = F.log_softmax(logits, dim=1)
    lowest = torch.finfo(logits.dtype).min
    # Masks, not gather: its backward is not deterministic on CUDA.
    masses = [
        log_probs.masked_fill(~group, lowest).logsumexp(dim=1)
        for group in groups
    ]
    return torch.stack(masses, dim=1)


def log_softmax_within(logits: Tensor, kept: Tensor) -> Tensor:
    """Return the log-softmax over the kept columns, 0 in the others.

    The zeros make a removed column contribute exactly 0 to a divergence and
    block its gradient, however large the logits; a row with nothing kept is
    all zeros.
    """
    lowest = torch.finfo(logits.dtype).min
    log_probs = F.log_softmax(logits.masked_fill(~kept, lowest), dim=1)
    return log_probs.masked_fill(~kept, 0.0)


def divergence_between(student: Tensor, teacher: Tensor,
                       groups: Sequence[Tensor]) -> Tensor:
    """Return KL(teacher || student) of the groups' masses.

    Args:
        student: Tempered logits of shape (N, C), float32 or better.
        teacher: Tempered logits of shape (N, C).
        groups: Bool masks of shape (N, C) that part the classes.

    Returns:
        Divergences of shape (N,), in nats.
    """
    return kl_from_log_probs(
        log_group_masses(teacher, groups), log_group_masses(student, groups))


def divergence_within(student: Tensor,
                      teacher: Tensor,
                      kept: Tensor,
                      kl_type: str = 'forward') -> Tensor:
    """Return the divergence of the probabilities renormalised on a group.

    Args:
        student: Tempered logits of shape (N, C), float32 or better.
        teacher: Tempered logits of shape (N, C).
        kept: Bool mask of shape (N, C), the group.
        kl_type: 'forward' is KL(teacher || student), 'reverse'
            KL(student || teacher), 'both' the mean of the two.

    Returns:
        Divergences of shape (N,), in nats; exactly 0 where the group has
        less than two classes.

    Raises:
        ValueError: kl_type is none of the three.
    """
    check_choice(kl_type, 'kl_type', KL_TYPES)
    log_teacher = log_softmax_within(teacher, kept)
    log_student = log_softmax_within(student, kept)
    if kl_type == 'forward':
        return kl_from_log_probs(log_teacher, log_student)
    if kl_type == 'reverse':
        return kl_from_log_probs(log_student, log_teacher)
    return 0.5 * (
        kl_from_log_probs(log_teacher, log_student) +
        kl_from_log_probs(log_student, log_teacher))
