"""The loss along directions away from a checkpoint."""
import copy
import itertools
from typing import Any, Callable, Dict, List, Sequence

import torch
from torch import nn

from tools.analysis.landscape_steps.directions import (
    at_home,
    filter_normalised,
    move,
)
from tools.analysis.landscape_steps.randomness import (
    own_randomness,
    seed_all,
)

Losses = List[Any]


def grid(span: float, points: int) -> List[float]:
    """Return the steps of a slice, evenly from -span to span, exactly 0 too.

    Args:
        span: The longest step, in lengths of the weights, > 0.
        points: How many, odd and >= 3.

    Raises:
        ValueError: One of them is something else.
    """
    if points < 3 or points % 2 == 0:
        raise ValueError(
            f'--points must be odd and at least 3, got {points}: the '
            'checkpoint itself is the one in the middle.')
    if not 0 < span < float('inf'):
        raise ValueError(f'--span must be above 0, got {span}: 1 goes as far '
                         'as the weights are long.')
    half = points // 2
    return [span * (i - half) / half for i in range(points)]


def task_loss(model: nn.Module, batches: Sequence[Dict[str, Any]]) -> float:
    """Return the model's own loss on some batches, in evaluation mode.

    The sum of its loss terms, as a plain training takes it; the mean over
    the batches, weighted with their numbers of images. Every batch has a
    random seed of its own, so that the RoIs a detector samples differ between
    two points only where its proposals do.

    Args:
        model: A model of mmpretrain or mmdet, in evaluation mode.
        batches: Of :func:`load_batches`.
    """
    total, images = 0.0, 0
    with torch.no_grad(), own_randomness():
        for number, batch in enumerate(batches):
            seed_all(number)
            # Preprocessors and losses of mmdet write into the samples.
            data = model.data_preprocessor(copy.deepcopy(batch), False)
            loss, _ = model.parse_losses(model(**data, mode='loss'))
            size = len(batch['inputs'])
            total += size * float(loss)
            images += size
    return total / images


def loss_slice(model: nn.Module,
               measure: Callable[[nn.Module], float],
               steps: Sequence[float],
               dims: int,
               seed: int,
               done: Callable[[], None] = lambda: None) -> Losses:
    """Take the loss at every point of a filter-normalised slice.

    Args:
        model: The model in the middle; afterwards it is what it was.
        measure: Returns the loss of a model.
        steps: The steps in each direction.
        dims: Number of directions, 1 or 2.
        seed: Seed of the directions.
        done: Called after every point.

    Returns:
        The losses; with two directions a list of them for every step in the
        second. None where the loss is no finite number.
    """
    directions = filter_normalised(model, seed, dims)
    found = []
    with at_home(model) as home:
        for point in itertools.product(steps, repeat=dims):
            # The first direction is the x axis: the one that moves fastest.
            move(model, home, directions, point[::-1])
            found.append(_finite(measure(model)))
            done()
    if dims == 1:
        return found
    width = len(steps)
    return [found[row:row + width] for row in range(0, len(found), width)]


def rise(steps: Sequence[float], slices: Sequence[Losses]) -> List[Any]:
    """Return how much higher the loss is at a distance: the flatness number.

    Args:
        steps: The steps of one-dimensional slices.
        slices: Their losses, one list for each direction.

    Returns:
        For every positive step r, from the smallest, the mean over the
        directions d and both signs of loss(w +- r d) - loss(w); None where a
        loss is not finite.
    """
    middle = len(steps) // 2
    risen = []
    for i in range(1, middle + 1):
        pairs = [(line[middle + sign * i], line[middle])
                 for line in slices for sign in (-1, 1)]
        known = all(None not in pair for pair in pairs)
        risen.append(sum(high - low for high, low in pairs) / len(pairs)
                     if known else None)
    return risen


def _finite(value: float) -> Any:
    return value if abs(value) < float('inf') else None
