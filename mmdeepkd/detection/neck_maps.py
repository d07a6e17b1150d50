"""The feature maps that a detector's neck gives."""
from typing import Iterable, List, Tuple

from torch import Tensor, nn

from mmdeepkd.distillers import (
    MapInfo,
    Place,
    maps_of,
    match_levels,
    probe_maps,
    record_output,
)

from .pixel_format import pixel_format

# Pixels: a multiple of the strides of usual necks, and enough for the SSDs,
# whose last convolutions do not pad.
_PROBE_SIZE = 512


def check_feature_losses(named: Iterable[Tuple[str, nn.Module]],
                         student: nn.Module, teacher: nn.Module) -> None:
    """Raise unless losses on features find theirs in the detectors.

    Args:
        named: The losses, with their names.
        student: Detector.
        teacher: Detector.

    Raises:
        TypeError: A loss reads logits, or a detector has no neck.
    """
    for _, loss in named:
        kind = type(loss).__name__
        if loss.reads != 'maps':
            raise TypeError(
                f'{kind} compares the logits of images through trainable '
                'modules, and a detector has logits of RoIs or anchors: use '
                'mmdeepkd.DiffKDLoss, for the maps of the neck, and for RoI '
                'logits a loss such as mmdeepkd.DeepKDLoss.')
        for model, role in ((student, 'student'), (teacher, 'teacher')):
            if getattr(model, 'neck', None) is None:
                raise TypeError(
                    f'{kind} compares the feature maps of necks, and the '
                    f'{role} {type(model).__name__} has none: give its '
                    "config a neck, such as dict(type='mmdet.FPN', ...), or "
                    'use losses on RoI logits, such as mmdeepkd.DeepKDLoss.')


def find_places(loss: nn.Module, student: nn.Module,
                teacher: nn.Module) -> List[Place]:
    """Return which level of the teacher's neck meets which of the student's.

    Args:
        loss: On feature maps, with its ``levels``; None pairs all those of
            equal stride.
        student: Detector with a neck.
        teacher: Detector with a neck.

    Raises:
        TypeError: A neck gives something else than maps.
        ValueError: Levels that are named do not exist, or no stride is
            common to both.
    """
    return match_levels(loss.levels, probe_neck(student, 'student'),
                        probe_neck(teacher, 'teacher'), default='strides')


def probe_neck(model: nn.Module, role: str) -> List[MapInfo]:
    """Return channels and strides of a neck's maps, of one small image.

    Args:
        model: Detector with a neck.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        RuntimeError: The detector fails on that image.
        TypeError: It has no pixel format, or its neck gives something else.
    """
    def run(image: Tensor) -> Tuple[Tensor, ...]:
        with record_output(model.neck) as outputs:
            model.extract_feat(image)
        return maps_of(outputs, f'neck of the {role}')

    # Not those of the first convolution: YOLOX stacks pixels before it.
    infos = probe_maps(run, model, _PROBE_SIZE,
                       len(pixel_format(model, role).mean),
                       f'neck of the {role}')
    if any(info.stride is None for info in infos):
        raise TypeError(
            f'the neck of the {role}, a {type(model.neck).__name__}, gives '
            'something else than feature maps (N, C, H, W): use a neck that '
            'gives a tuple of these, such as mmdet.FPN.')
    return infos
