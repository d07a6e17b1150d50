"""How many logits the distillation losses can work with."""
from typing import Iterable

from mmengine.logging import MMLogger
from torch import nn


def check_num_logits(losses: Iterable[nn.Module], num_logits: int) -> None:
    """Refuse one logit; warn of losses that do little with two.

    Of two classes one is the target: the divergence among the non-target
    classes is exactly 0.

    Args:
        losses: The distillation losses.
        num_logits: C, background included.

    Raises:
        ValueError: C < 2.
    """
    if num_logits < 2:
        raise ValueError(
            f'student and teacher have {num_logits} logit, of which a '
            'softmax is constant, so that there is nothing to distil: give '
            'both num_classes=2 (the class and its absence).')
    if num_logits > 2:
        return
    idle = [type(loss).__name__ for loss in losses if _splits_target(loss)]
    if idle:
        MMLogger.get_current_instance().warning(
            f'{", ".join(idle)}: of two logits only one is not the target, '
            'so that the stream non_target is always 0 and the stream target '
            'carries all of the distillation; KDLoss does the same in one '
            'stream.')


def _splits_target(loss: nn.Module) -> bool:
    # A loss on some of the rows has the one that it applies inside.
    loss = getattr(loss, 'loss', loss)
    return 'non_target' in loss.streams and getattr(loss, 'uses_target', False)
