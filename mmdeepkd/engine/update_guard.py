"""What an update may not do to the model when a number is not finite."""
import logging
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from .finite import Parts, bad_losses, from_all_ranks, sentence
from .stream_losses import StreamLosses, as_parts
from .unwrap import unwrap

SKIPPED = 'train/skipped_steps'

# Skipped steps that are all in the log; later ones are thinned out.
_ALL_WARNED = 10
_WARN_EVERY = 100


class UpdateGuard:
    """Stops training, or leaves an update out, and names the reason.

    It keeps the losses of the update under way (without their graphs) and,
    to leave an update out, the model's buffers from before its forward
    passes: BatchNorm has averaged what is not finite into its statistics by
    the time that a loss shows it, and would never lose it again.

    Args:
        action: ``'raise'`` or ``'skip'``.

    Raises:
        ValueError: The action is neither.
    """

    def __init__(self, action: str) -> None:
        if action not in ('raise', 'skip'):
            raise ValueError(
                "nonfinite must be 'raise' (stop training) or 'skip' (leave "
                f'the step out and count it), got {action!r}.')
        self.action = action
        self._noted: List[Tuple[int, Parts]] = []
        self._model: Optional[nn.Module] = None
        self._buffers: Dict[str, Tensor] = {}

    @property
    def losses(self) -> List[Tensor]:
        """The losses noted in this update."""
        return [value for _, parts in self._noted
                for losses in parts.values() for value in losses.values()]

    @property
    def streams(self) -> List[str]:
        """The streams noted in this update."""
        return list(dict.fromkeys(s for _, parts in self._noted
                                  for s in parts))

    def before_forward(self, model: nn.Module) -> None:
        """Keep the buffers, if this forward is the first of an update.

        Args:
            model: The model, possibly wrapped.
        """
        self._model = unwrap(model)
        if self.action == 'skip' and not self._noted:
            self._buffers = {
                name: buffer.detach().clone()
                for name, buffer in self._model.named_buffers()
            }

    def note(self, loss: StreamLosses, iteration: int) -> None:
        """Remember the losses of an iteration.

        Args:
            loss: What ``update_params`` was given.
            iteration: Counted from 1.
        """
        self._noted.append((iteration, {
            stream: {name: value.detach() for name, value in losses.items()}
            for stream, losses in as_parts(loss).items()
        }))

    def forget(self) -> None:
        """Begin a new update."""
        self._noted = []
        self._buffers = {}

    def bad_losses(self) -> List[str]:
        """Say which losses of all ranks are not finite."""
        return from_all_ranks([
            text for iteration, parts in self._noted
            for text in bad_losses(iteration, parts)
        ])

    def parameter_names(self, params: List[Tensor]) -> List[str]:
        """Return the names of parameters, as far as the model knows them.

        Args:
            params: The optimizer's parameters.
        """
        known = {} if self._model is None else {
            id(p): name for name, p in self._model.named_parameters()
        }
        return [known.get(id(p), f'no. {i} of shape {tuple(p.shape)}')
                for i, p in enumerate(params)]

    def reject(self, found: List[str], hub: MessageHub,
               advice: str) -> None:
        """Stop, or undo the forward passes, count and warn.

        Args:
            found: What is not finite; the same on all ranks.
            hub: Keeps the count, in the log and across a resume.
            advice: What to try.

        Raises:
            FloatingPointError: The action is ``'raise'``.
        """
        if self.action == 'raise':
            raise FloatingPointError(
                sentence(found, 'training stops before the update',
                         f"{advice}, or set optim_wrapper.nonfinite='skip' "
                         'to leave out such steps'))
        if self._model is not None:
            with torch.no_grad():
                for name, buffer in self._model.named_buffers():
                    if name in self._buffers:
                        buffer.copy_(self._buffers[name])
        count = count_step(hub, SKIPPED)
        if count <= _ALL_WARNED or count % _WARN_EVERY == 0:
            print_log(
                sentence(found, f'the step is skipped, no. {count} of this '
                         'run', f'if there are many, {advice}'),
                'current', logging.WARNING)


def count_step(hub: MessageHub, name: str) -> int:
    """Add a step to a count, which is logged and resumed, and return it.

    Args:
        hub: The run's message hub.
        name: Of the count, with the prefix 'train/'.
    """
    count = counted_steps(hub, name) + 1
    hub.update_scalar(name, count)
    return count


def counted_steps(hub: MessageHub, name: str) -> int:
    """Return how many steps of the run were counted.

    Args:
        hub: The run's message hub.
        name: Of the count, with the prefix 'train/'.
    """
    if name not in hub.log_scalars:
        return 0
    return int(hub.get_scalar(name).current())
