"""The losses that an optimizer wrapper is given."""
from typing import Dict, Mapping, Union

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


def sum_losses(losses: Mapping[str, Tensor],
               leaders: Mapping[str, str]) -> Dict[str, Tensor]:
    """Sum the losses of streams that share a momentum.

    Args:
        losses: ``{stream: scalar}``.
        leaders: ``{stream: stream whose buffer it uses}``.

    Returns:
        ``{leader: scalar}``.

    Raises:
        KeyError: A stream is not in ``leaders``.
    """
    merged: Dict[str, Tensor] = {}
    for stream, loss in losses.items():
        if stream not in leaders:
            raise KeyError(
                f'the losses hold the stream {stream!r}, the optimizer '
                f'wrapper knows {", ".join(leaders)}: give it a momentum '
                'with offsets=dict(...) of DeepKDOptimWrapper.')
        leader = leaders[stream]
        merged[leader] = loss if leader not in merged else (
            merged[leader] + loss)
    return merged
