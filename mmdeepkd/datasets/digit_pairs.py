"""Digits-100: two handwritten digits side by side, a hundred classes."""
from typing import Dict, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

PAIR_HEIGHT, PAIR_WIDTH = 8, 16

# Digits of each class that a split may use; the rest of the 174 to 183 that
# scikit-learn has goes to the training split.
_VAL_DIGITS, _TEST_DIGITS = 30, 55
_PAIRS_PER_CLASS = dict(train=20, val=20, test=40)
_CLASSES = 10
# Grey levels: paper, ink, and the noise as a sum of three uniform integers,
# whose standard deviation is a third of the way from paper to ink.
_PAPER, _INK = 80, 176
_NOISE_REACH = 32


class DigitPairs(NamedTuple):
    """One split of Digits-100.

    Attributes:
        images: Grey levels, (M, 8, 16) uint8, the two digits side by side.
        labels: Classes, (M,) int64: 10 times the left digit plus the right.
        sources: The two digits' places in scikit-learn's set, (M, 2) int64.
    """

    images: np.ndarray
    labels: np.ndarray
    sources: np.ndarray


def make_digit_pairs(split: str, seed: int = 0) -> DigitPairs:
    """Make one split of Digits-100 from scikit-learn's bundled digits.

    Each of the 100 classes has 20 pairs for training, 20 for validation and
    40 for testing. The splits share no handwritten digit. The noise belongs
    to the images: it is drawn once. The same seed gives the same pixels on
    every NumPy version and platform (``RandomState``, integers only).

    Args:
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Seed of the split, of the pairs and of the noise, >= 0.

    Returns:
        The images with their classes, ordered by class.

    Raises:
        ValueError: There is no such split, or the seed is negative.

    Example:
        >>> make_digit_pairs('train').images.shape
        (2000, 8, 16)
    """
    if split not in _PAIRS_PER_CLASS:
        raise ValueError(f'Digits-100 has no split {split!r}: choose one of '
                         f'{", ".join(_PAIRS_PER_CLASS)}.')
    if seed < 0:
        raise ValueError(f'the seed of Digits-100 is {seed}: it must be >= 0.')
    digits, labels = load_digits(return_X_y=True)
    pools = _disjoint_pools(labels, seed)[split]
    place = list(_PAIRS_PER_CLASS).index(split)
    random = np.random.RandomState([seed, place])
    count = _PAIRS_PER_CLASS[split]
    sources = np.concatenate([
        np.stack([random.choice(pools[left], count),
                  random.choice(pools[right], count)], axis=1)
        for left in range(_CLASSES) for right in range(_CLASSES)
    ])
    ink = digits.reshape(-1, PAIR_HEIGHT, PAIR_HEIGHT).astype(np.int64)
    pairs = np.concatenate([ink[sources[:, 0]], ink[sources[:, 1]]], axis=2)
    return DigitPairs(
        _print(pairs, random), labels[sources] @ np.array([_CLASSES, 1]),
        sources)


def _print(pairs: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Turn ink from 0 to 16 into noisy grey levels."""
    # 16 levels of ink, so that a level is a whole number of greys.
    grey = _PAPER + pairs * ((_INK - _PAPER) // 16)
    for _ in range(3):
        grey = grey + random.randint(-_NOISE_REACH, _NOISE_REACH + 1,
                                     pairs.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _disjoint_pools(labels: np.ndarray,
                    seed: int) -> Dict[str, Dict[int, np.ndarray]]:
    """Return the places of the digits of each split, by class."""
    order = np.random.RandomState(seed).permutation(len(labels))
    pools: Dict[str, Dict[int, np.ndarray]] = dict(train={}, val={}, test={})
    for digit in range(_CLASSES):
        members = order[labels[order] == digit]
        val, rest = np.split(members, [_VAL_DIGITS])
        pools['val'][digit] = val
        pools['test'][digit], pools['train'][digit] = np.split(
            rest, [_TEST_DIGITS])
    return pools
