"""What DiffKD asks of its features, and how maps are made one size."""
from typing import Tuple

import torch.nn.functional as F
from torch import Tensor

from mmdeepkd.functional.inputs import upcast

#: Who sets the size where two maps differ in height or width.
ALIGN = ('student', 'teacher', 'error')


def check_pair(feature_student: Tensor, feature_teacher: Tensor,
               channels: Tuple[int, int], kind: str, place: str) -> None:
    """Raise unless both features are what their adapter was built for.

    Args:
        feature_student: Of the student.
        feature_teacher: Of the teacher.
        channels: C of the student's and of the teacher's.
        kind: 'maps', (N, C, H, W), or 'logits', (N, C).
        place: The pair's name, for messages.

    Raises:
        TypeError: One is not floating.
        ValueError: A shape is wrong, or N differs.
    """
    dims, layout = (4, ', H, W') if kind == 'maps' else (2, '')
    pair = (feature_student, feature_teacher)
    for owner, feature, wanted in zip(('student', 'teacher'), pair, channels):
        if feature.dim() != dims or feature.size(1) != wanted:
            raise ValueError(
                f'the {kind} of {place!r} have shape {tuple(feature.shape)} '
                f'in the {owner} but must be (N, {wanted}{layout}), as when '
                'its adapter was built: choose a layer whose output is.')
        if not feature.is_floating_point():
            raise TypeError(
                f'the {kind} of {place!r} have dtype {feature.dtype} in the '
                f'{owner} but must be floating: pass the output of a layer, '
                'not labels.')
    if len(feature_student) != len(feature_teacher):
        raise ValueError(
            f'the {kind} of {place!r} have shape '
            f'{tuple(feature_student.shape)} in the student and '
            f'{tuple(feature_teacher.shape)} in the teacher: give both the '
            'same samples.')


def align_maps(feature_student: Tensor, feature_teacher: Tensor, align: str,
               place: str) -> Tuple[Tensor, Tensor]:
    """Return both maps in one height and width.

    Args:
        feature_student: (N, C_s, H, W).
        feature_teacher: (N, C_t, H', W').
        align: 'student' resizes the teacher's map, 'teacher' the student's,
            'error' none.
        place: The pair's name, for messages.

    Returns:
        The maps; a resized one is float32 or wider.

    Raises:
        ValueError: The sizes differ and ``align`` is 'error'.
    """
    size, other = feature_student.shape[2:], feature_teacher.shape[2:]
    if size == other:
        return feature_student, feature_teacher
    if align == 'error':
        raise ValueError(
            f'the maps of {place!r} differ in size, '
            f'{tuple(feature_student.shape)} in the student and '
            f'{tuple(feature_teacher.shape)} in the teacher: pair levels of '
            "one stride in levels, or set align='student' or "
            "align='teacher' to have the other map resized.")
    if align == 'student':
        return feature_student, resize(feature_teacher, size)
    return resize(feature_student, other), feature_teacher


def resize(feature: Tensor, size: Tuple[int, ...]) -> Tensor:
    """Return a map in another height and width.

    Where neither side grows by adaptive average pooling, in which every
    element counts, else bilinearly.

    Args:
        feature: (N, C, H, W).
        size: The height and the width to reach.

    Returns:
        (N, C, *size), float32 or wider.
    """
    feature = upcast(feature)
    height, width = size
    if height <= feature.size(2) and width <= feature.size(3):
        return F.adaptive_avg_pool2d(feature, (height, width))
    return F.interpolate(
        feature, (height, width), mode='bilinear', align_corners=False)
