"""The range of the static K of a top-k mask."""
from typing import Iterable

from torch import nn


def check_topk(losses: Iterable[nn.Module], num_non_target: int,
               what: str) -> None:
    """Raise if a loss keeps more classes than there are beside the target.

    Args:
        losses: The distillation losses.
        num_non_target: Number of non-target classes.
        what: Who has how many, for the message.

    Raises:
        ValueError: A loss has a larger ``topk``.
    """
    for loss in losses:
        topk = getattr(loss, 'topk', None)
        if topk is not None and topk > num_non_target:
            raise ValueError(
                f'{type(loss).__name__} has topk={topk}, the {what}: choose '
                f'topk from 1 to {num_non_target}.')
