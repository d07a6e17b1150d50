"""The losses that an optimizer wrapper is given."""
from typing import Mapping, Union

from torch import Tensor

from .finite import Parts
from .optimizers import PLAIN

StreamLosses = Union[Tensor, Mapping[str, Tensor]]


def as_streams(loss: StreamLosses) -> Mapping[str, Tensor]:
    """Return ``{stream: scalar}``.

    Args:
        loss: The total of a distiller's ``parse_losses``, ``{stream:
            scalar}``, or a plain scalar.
    """
    if not isinstance(loss, Tensor):
        return loss
    return getattr(loss, 'streams', {PLAIN: loss})


def as_parts(loss: StreamLosses) -> Parts:
    """Return ``{stream: {name: scalar}}``.

    Args:
        loss: As for :func:`as_streams`. Where only streams are known, the
            stream's name is the loss's, and that of a plain scalar 'total'.
    """
    if isinstance(loss, Tensor) and hasattr(loss, 'parts'):
        parts: Parts = loss.parts
        return parts
    return {stream: {'total' if stream == PLAIN else stream: value}
            for stream, value in as_streams(loss).items()}
