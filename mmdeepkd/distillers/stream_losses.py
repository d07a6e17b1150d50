"""The losses of a distiller: built, named and summed by stream."""
from typing import Any, Dict, List, Tuple, Union

from torch import Tensor, nn

from mmdeepkd.registry import MODELS

Losses = Dict[str, Union[Tensor, List[Tensor]]]


def as_list(losses: Any) -> List[Any]:
    """Return one loss config, or several, as a list.

    Args:
        losses: A config or a list of them.

    Raises:
        ValueError: There is none.
    """
    losses = losses if isinstance(losses, (list, tuple)) else [losses]
    if not losses:
        raise ValueError('losses is empty: name at least one distillation '
                         'loss, or train the student without a distiller.')
    return list(losses)


def build_loss(config: Any) -> nn.Module:
    """Build a distillation loss.

    Args:
        config: Of a loss in the registry.

    Raises:
        TypeError: It has no gradient streams.
        ValueError: It compares features and has more than one.
    """
    loss = MODELS.build(config)
    if not getattr(loss, 'streams', None):
        raise TypeError(
            f'{type(loss).__name__} is no distillation loss: it must name its '
            'gradient streams in a class attribute `streams`, as '
            'mmdeepkd.KDLoss does.')
    if getattr(loss, 'needs_adapter', False) and len(loss.streams) != 1:
        raise ValueError(
            f'{type(loss).__name__} has the streams {loss.streams!r}, but all '
            'terms of a loss on features are one stream: set streams to one '
            "name in a tuple, such as ('feature', ).")
    return loss


def name_losses(losses: nn.ModuleList) -> List[str]:
    """Return ``loss_<method>`` of each; a repeated one gets ``_1``, ...

    Args:
        losses: Of :func:`build_loss`.
    """
    names: List[str] = []
    methods = [loss.method for loss in losses]
    for i, method in enumerate(methods):
        repeat = methods[:i].count(method)
        names.append(f'loss_{method}' + (f'_{repeat}' if repeat else ''))
    return names


def weighted(value: Union[Tensor, List[Tensor]],
             weight: float) -> Union[Tensor, List[Tensor]]:
    """Return a loss times a weight.

    Args:
        value: One tensor or several.
        weight: The weight.
    """
    if isinstance(value, (list, tuple)):
        return [weight * v for v in value]
    return weight * value


def split_streams(
    log_vars: Dict[str, Tensor], stream_of: Dict[str, str]
) -> Tuple[Dict[str, Tensor], Dict[str, Dict[str, Tensor]]]:
    """Return the losses by stream.

    Args:
        log_vars: Scalars by name; those without 'loss' are no losses.
        stream_of: The stream of each name.

    Returns:
        ``{stream: scalar}``, and ``{stream: {name: scalar}}``.
    """
    streams: Dict[str, Tensor] = {}
    parts: Dict[str, Dict[str, Tensor]] = {}
    for name, stream in stream_of.items():
        if 'loss' in name:
            value = log_vars[name]
            streams[stream] = value if stream not in streams else (
                streams[stream] + value)
            parts.setdefault(stream, {})[name] = value
    return streams, parts
