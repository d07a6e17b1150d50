"""The classical distillation divergence."""
import torch.nn.functional as F
from torch import Tensor

from .inputs import (
    check_logits_pair,
    check_temperature,
    upcast,
    without_autocast,
)


def kl_from_log_probs(log_teacher: Tensor, log_student: Tensor) -> Tensor:
    """Return KL(teacher || student) per row of finite log-probabilities.

    Args:
        log_teacher: Finite log-probabilities of shape (N, C).
        log_student: Finite log-probabilities of shape (N, C).

    Returns:
        Divergences of shape (N,), in nats.
    """
    terms = F.kl_div(
        log_student, log_teacher, reduction='none', log_target=True)
    return terms.sum(dim=1)


def kd_divergence(logits_student: Tensor, logits_teacher: Tensor,
                  temperature: float) -> Tensor:
    r"""Return the divergence of the softened student from the teacher.

    .. math:: T^2 \, \mathrm{KL}(p^t \,\|\, p^s), \qquad
        p = \mathrm{softmax}(z / T)

    See "Distilling the Knowledge in a Neural Network" (Hinton et al. 2015),
    section 2, "Distillation".

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T.

    Returns:
        Divergences of shape (N,), float32 for half inputs.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The shapes differ or are not (N, C), C < 2, or the
            temperature is not positive.

    Example:
        >>> import torch
        >>> kd_divergence(torch.zeros(1, 2), torch.tensor([[0., 1.]]), 1.)
        tensor([0.1109])
    """
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    with without_autocast(logits_student):
        log_student = F.log_softmax(upcast(logits_student) / temperature, 1)
        log_teacher = F.log_softmax(upcast(logits_teacher) / temperature, 1)
        return kl_from_log_probs(log_teacher, log_student) * temperature**2
