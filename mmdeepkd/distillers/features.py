"""The modules that compare features, and the losses they give."""
from typing import Any, Dict, Sequence, Tuple

from torch import Tensor, nn

from .levels import Place, match_levels
from .maps import MapInfo, as_maps, maps_of, probe_maps, record_output
from .single_value import explain_single_value
from .stream_losses import Losses

__all__ = [
    'MapInfo', 'Pairs', 'Place', 'as_maps', 'build_adapters',
    'feature_losses', 'maps_of', 'match_levels', 'pair_maps', 'probe_maps',
    'record_output'
]

#: Features of student and teacher by the name of their place.
Pairs = Dict[str, Tuple[Tensor, Tensor]]


def build_adapters(loss: nn.Module, places: Sequence[Place]) -> nn.ModuleDict:
    """Build the trainable modules of a loss, one per place.

    Args:
        loss: A feature loss.
        places: Where it compares features.
    """
    return nn.ModuleDict({
        place.name: loss.build_adapter(place.student_channels,
                                       place.teacher_channels)
        for place in places
    })


def pair_maps(places: Sequence[Place], maps_student: Sequence[Any],
              maps_teacher: Sequence[Any]) -> Pairs:
    """Return the maps that are compared.

    Args:
        places: Where features are compared.
        maps_student: All maps of the student.
        maps_teacher: All maps of the teacher.
    """
    return {
        place.name: (maps_student[place.student], maps_teacher[place.teacher])
        for place in places
    }


def feature_losses(name: str, loss: nn.Module, adapters: nn.ModuleDict,
                   pairs: Pairs) -> Losses:
    """Return what a feature loss gives, under its names in the log.

    Args:
        name: Of the loss, ``loss_<method>``.
        loss: The feature loss.
        adapters: Its trainable modules by place.
        pairs: Features of student and teacher by place.

    Returns:
        ``<stream>.<name>``, with several places one of each,
        ``<stream>.<name>_<place>``; the loss's other terms,
        ``<stream>.<name>_<term>``, summed over the places; and what is only
        logged, ``<method>_<value>``, of several places
        ``<method>_<value>_<place>``.

    Raises:
        ValueError: Features do not fit, or a BatchNorm of an adapter gets a
            single value.
    """
    stream, = loss.streams
    losses: Losses = {}
    remedy = 'leave small levels out with levels=[...]' if (
        getattr(loss, 'reads', None) == 'maps') else ''
    for place, pair in pairs.items():
        suffix = f'_{place}' if len(pairs) > 1 else ''
        with explain_single_value(type(loss).__name__, remedy):
            terms = loss(adapters[place], *pair, place=place)
        for term, value in terms.losses.items():
            if not term:
                losses[f'{stream}.{name}{suffix}'] = value
                continue
            key = f'{stream}.{name}_{term}'
            losses[key] = losses[key] + value if key in losses else value
        for term, value in terms.values.items():
            losses[f'{adapter_name(name)}_{term}{suffix}'] = value
    return losses


def adapter_name(name: str) -> str:
    """Return what a loss's modules are called in ``distill``.

    Args:
        name: ``loss_<method>``; names with 'loss' in them would be summed.
    """
    return name[len('loss_'):]
