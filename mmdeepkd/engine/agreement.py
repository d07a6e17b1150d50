"""How often student and teacher choose the same class."""
from typing import Any, Mapping, Optional, Tuple

import torch
from torch import Tensor, nn

from .loss_access import called_with, losses_of, views_of


class Agreement:
    """Counts the samples (or RoIs) with one largest logit in both models.

    It looks at what the first loss on logits is called with, in training;
    of two views at the first. Of a detector these are the RoIs that the
    student samples, the background a class like the others; rows of weight 0
    are left out. Nothing is read from the device, and a model without such a
    loss has no agreement.

    Args:
        model: A distiller, or any other model; without wrappers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._counts: Optional[Tensor] = None
        loss = next((each for each in losses_of(model)
                     if hasattr(each, 'views')), None)
        self._handle = None if loss is None else (
            loss.register_forward_hook(self._count, with_kwargs=True))

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
        return counts if self._counts is None else counts + self._counts

    @torch.no_grad()
    def _count(self, loss: nn.Module, args: Tuple[Any, ...],
               kwargs: Mapping[str, Any], output: Any) -> None:
        given = called_with(args, kwargs)
        student, teacher = (
            views_of(given[name])[0].argmax(dim=1)
            for name in ('logits_student', 'logits_teacher'))
        same, weight = student == teacher, given.get('weight')
        # Not an index, for which the host would wait.
        counted = torch.ones_like(same) if weight is None else weight > 0
        counts = torch.stack([(same & counted).sum(), counted.sum()])
        self._counts = counts if self._counts is None else (
            self._counts + counts)
