"""How often student and teacher choose the same class."""
from typing import Any, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn


class Agreement:
    """Counts the samples (or RoIs) with one largest logit in both models.

    It looks at what the first loss on logits is called with, in training;
    of two views at the first. Nothing is read from the device, and a model
    without such a loss has no agreement.

    Args:
        model: A distiller, or any other model; without wrappers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._same: Optional[Tensor] = None
        self._total = 0
        loss = next((each for each in losses_of(model)
                     if hasattr(each, 'views')), None)
        self._handle = None if loss is None else (
            loss.register_forward_hook(self._count))

    def close(self) -> None:
        """Leave the loss as it was."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None

    def counts(self, device: torch.device) -> Tensor:
        """Return how many agreed, and of how many, on this rank.

        Args:
            device: Where the result is.

        Returns:
            (2,), float64.
        """
        counts = torch.zeros(2, dtype=torch.float64, device=device)
        if self._same is not None:
            counts[0] = self._same
        counts[1] += self._total
        return counts

    @torch.no_grad()
    def _count(self, loss: nn.Module, args: Tuple[Any, ...],
               output: Any) -> None:
        student, teacher = (
            logits[0] if isinstance(logits, (list, tuple)) else logits
            for logits in args[:2])
        same = (student.argmax(dim=1) == teacher.argmax(dim=1)).sum()
        self._same = same if self._same is None else self._same + same
        self._total += len(student)


def losses_of(model: Any) -> Sequence[Any]:
    """Return the distillation losses; a model that has none is no distiller.

    Args:
        model: Without wrappers.
    """
    # `losses` of other models is anything.
    losses: Sequence[Any] = (
        model.losses if hasattr(model, 'num_logits') else [])
    return losses
