"""GDKD with the logits standardised inside the groups of classes."""
from typing import Tuple

import torch
from torch import Tensor

from .gdkd import top_mask
from .groups import divergence_between, divergence_within
from .inputs import (
    check_choice,
    check_logits_pair,
    check_temperature,
    upcast,
    without_autocast,
)
from .standardize import lacks_spread

# Added to the deviation, as in the released code.
_EPS = 1e-7


def ls_gdkd_divergences(logits_student: Tensor, logits_teacher: Tensor,
                        temperature: float, k: int,
                        standardized: str) -> Tuple[Tensor, Tensor, Tensor]:
    """Return GDKD's divergences of logits standardised inside the groups.

    As :func:`gdkd_divergences` with forward divergences. ``high`` is that of
    the logits themselves; before a divergence inside a group the group's
    logits are shifted and scaled to mean 0 and deviation 1 (the biased one,
    1e-7 added to it), then divided by the temperature. Source: released code
    (ZaberKo/GDKD, ``LS_GDKD.py``), an experiment.

    A group of equal logits has no scale: it becomes uniform and receives no
    gradient, as in :func:`standardize_logits`.

    Args:
        logits_student: Floating logits of shape (N, C), C >= 2.
        logits_teacher: Floating logits of shape (N, C).
        temperature: The positive temperature T.
        k: How many of the teacher's best classes form the first group, 1 to
            C.
        standardized: 'both' standardises the logits of both groups, 'other'
            only of the classes outside the teacher's best.

    Returns:
        ``(high, low_top, low_other)``, each of shape (N,), float32 for half
        inputs.

    Raises:
        TypeError: A dtype is wrong, or k is not an int.
        ValueError: A shape, the temperature or ``standardized`` is wrong, or
            k is outside 1 to C.
    """
    check_logits_pair(logits_student, logits_teacher)
    check_temperature(temperature)
    check_choice(standardized, 'standardized', ('both', 'other'))
    with without_autocast(logits_student):
        student, teacher = upcast(logits_student), upcast(logits_teacher)
        top = top_mask(teacher, k)
        high = divergence_between(student / temperature,
                                  teacher / temperature, (top, ~top))
        low_top = _divergence_inside(
            student, teacher, temperature, top, scaled=standardized == 'both')
        low_other = _divergence_inside(
            student, teacher, temperature, ~top, scaled=True)
        square = temperature**2
        return high * square, low_top * square, low_other * square


def _divergence_inside(student: Tensor, teacher: Tensor, temperature: float,
                       group: Tensor, scaled: bool) -> Tensor:
    if scaled:
        student = _standardize_within(student, group)
        teacher = _standardize_within(teacher, group)
    return divergence_within(student / temperature, teacher / temperature,
                             group)


def _standardize_within(logits: Tensor, group: Tensor) -> Tensor:
    """Return the z-score of the group's logits, 0 in the other columns."""
    size = group.to(logits).sum(dim=1, keepdim=True).clamp(min=1)
    inside = logits.masked_fill(~group, 0.0)
    mean = inside.sum(dim=1, keepdim=True) / size
    centred = (logits - mean).masked_fill(~group, 0.0)
    constant = lacks_spread(centred, inside, dim=1)
    length: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    scale = length / size.sqrt() + _EPS
    return (centred / scale).masked_fill(constant, 0.0)
