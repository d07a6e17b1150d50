"""How the predictions of a batch relate to each other, and by how much."""
from typing import Tuple

import torch.nn.functional as F
from torch import Tensor

from .inputs import (
    check_logits_pair,
    check_temperature,
    upcast,
    without_autocast,
)


def class_consistency(logits_student: Tensor, logits_teacher: Tensor,
                      temperature: float) -> Tensor:
    r"""Return how far the relations between classes differ, class by class.

    .. math:: l_c = \sum_{b} \Bigl(\sum_n p^t_{nc} p^t_{nb}
        - \sum_n p^s_{nc} p^s_{nb}\Bigr)^2, \qquad
        p = \mathrm{softmax}(z / T)

    The mean over classes is the class-level loss of "Multi-Level Logit
    Distillation" (Jin et al. 2023), section 3. The relation sums over the
    batch, so there is one value per class, not per sample.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T; no :math:`T^2` here.

    Returns:
        Squared distances of shape (C,), float32 for half inputs; 0 for N = 0.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The shapes differ or are not (N, C), C < 2, or the
            temperature is not positive.

    Example:
        >>> import torch
        >>> class_consistency(torch.zeros(1, 2), torch.tensor([[9e9, 0.]]), 1.)
        tensor([0.6250, 0.1250])
    """
    with without_autocast(logits_student):
        student, teacher = _probabilities(logits_student, logits_teacher,
                                          temperature)
        difference = teacher.t() @ teacher - student.t() @ student
        return difference.square().sum(dim=1)


def batch_consistency(logits_student: Tensor, logits_teacher: Tensor,
                      temperature: float) -> Tensor:
    r"""Return how far the relations between samples differ, by sample.

    .. math:: l_n = \sum_{m} \Bigl(\sum_c p^t_{nc} p^t_{mc}
        - \sum_c p^s_{nc} p^s_{mc}\Bigr)^2, \qquad
        p = \mathrm{softmax}(z / T)

    The mean over samples is the batch-level loss of "Multi-Level Logit
    Distillation" (Jin et al. 2023), section 3.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T; no :math:`T^2` here.

    Returns:
        Squared distances of shape (N,), float32 for half inputs.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The shapes differ or are not (N, C), C < 2, or the
            temperature is not positive.

    Example:
        >>> import torch
        >>> batch_consistency(torch.zeros(1, 2), torch.tensor([[9e9, 0.]]), 1.)
        tensor([0.2500])
    """
    with without_autocast(logits_student):
        student, teacher = _probabilities(logits_student, logits_teacher,
                                          temperature)
        difference = teacher @ teacher.t() - student @ student.t()
        return difference.square().sum(dim=1)


def _probabilities(logits_student: Tensor, logits_teacher: Tensor,
                   temperature: float) -> Tuple[Tensor, Tensor]:
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    return (F.softmax(upcast(logits_student) / temperature, dim=1),
            F.softmax(upcast(logits_teacher) / temperature, dim=1))
