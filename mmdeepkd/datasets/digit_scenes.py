"""Draws digits on a noisy scene and says where their ink is.

The same seed gives the same pixels on every NumPy version and platform:
``RandomState`` has a frozen stream, the noise is made of integers (samplers
of floats go through the platform's ``log``), and the enlargement is written
out so that no imaging library can change it.
"""
from typing import List, Optional, Tuple

import numpy as np

SCENE_SIZE = 128

Box = Tuple[int, int, int, int]

_MIN_DIGIT, _MAX_DIGIT = 16, 32
_INK_LEVEL = 0.25
_MAX_OVERLAP = 0.1
_PLACEMENTS = 50


def draw_scene(
        random: np.random.RandomState,
        digits: np.ndarray) -> Tuple[np.ndarray, List[Optional[Box]]]:
    """Place every digit on one noisy scene, at random sizes and places.

    Args:
        random: Source of the scene; it is advanced.
        digits: (D, 8, 8), ink from 0 to 1; D may be 0.

    Returns:
        The scene, (128, 128) uint8, and for every digit the tight box
        (x, y, width, height) of its ink in pixels, or ``None`` where no room
        was left for it.
    """
    side = (SCENE_SIZE, SCENE_SIZE)
    scene = enlarge(random.randint(20, 110, (5, 5)), SCENE_SIZE)
    scene += random.randint(-12, 13, side) + random.randint(-12, 13, side)
    boxes: List[Optional[Box]] = []
    for digit in digits:
        size = random.randint(_MIN_DIGIT, _MAX_DIGIT + 1)
        ink = enlarge(digit, size)
        brightness = random.randint(150, 256)
        corner = _find_room(random, ink, [box for box in boxes if box])
        boxes.append(_ink_box(ink, corner) if corner else None)
        if corner:
            left, top = corner
            patch = scene[top:top + size, left:left + size]
            patch += ink * (brightness - patch)
    return np.clip(scene, 0, 255).astype(np.uint8), boxes


def enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """Enlarge a square image (S, S) bilinearly to (size, size)."""
    old = len(image)
    place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    low = np.minimum(place.astype(int), old - 2)
    share = place - low
    rows = image[low] * (1 - share[:, None]) + image[low + 1] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share


def _ink_box(ink: np.ndarray, corner: Tuple[int, int]) -> Box:
    rows, columns = np.nonzero(ink >= _INK_LEVEL)
    x, y = int(columns.min()), int(rows.min())
    return (corner[0] + x, corner[1] + y, int(columns.max()) - x + 1,
            int(rows.max()) - y + 1)


def _find_room(random: np.random.RandomState, ink: np.ndarray,
               taken: List[Box]) -> Optional[Tuple[int, int]]:
    """Return a corner (left, top) where the ink overlaps others little."""
    for _ in range(_PLACEMENTS):
        left, top = random.randint(0, SCENE_SIZE - len(ink) + 1, 2).tolist()
        box = _ink_box(ink, (left, top))
        if all(overlap(box, other) <= _MAX_OVERLAP for other in taken):
            return left, top
    return None


def overlap(one: Box, other: Box) -> float:
    """Return the intersection as a fraction of the smaller box."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    smaller = min(one[2] * one[3], other[2] * other[3])
    return max(width, 0) * max(height, 0) / smaller
