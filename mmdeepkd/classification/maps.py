"""The feature maps of a classifier's backbone."""
from contextlib import contextmanager
from typing import Any, Iterator, List, NamedTuple

from torch import nn

from mmdeepkd.distillers import (
    MapInfo,
    Place,
    maps_of,
    match_levels,
    pair_maps,
    probe_maps,
    record_output,
)
from mmdeepkd.distillers.features import Pairs

# Of ImageNet's images: large enough for every backbone of mmpretrain.
_IMAGE_SIZE = 224


def map_places(loss: nn.Module, student: nn.Module,
               teacher: nn.Module) -> List[Place]:
    """Return which maps of two classifiers a loss compares.

    Args:
        loss: A feature loss that reads maps.
        student: A classifier, whose backbone runs once on one image.
        teacher: The same.

    Raises:
        RuntimeError: A backbone fails on that image.
        TypeError: A classifier has no backbone, or it gives no map there.
        ValueError: The loss names maps that do not exist.
    """
    maps_student = _probe(loss, student, 'student')
    maps_teacher = _probe(loss, teacher, 'teacher')
    places = match_levels(
        loss.levels, maps_student, maps_teacher, default='last')
    for place in places:
        _check_map(loss, student, maps_student, place.student, 'student')
        _check_map(loss, teacher, maps_teacher, place.teacher, 'teacher')
    return places


class BackboneMaps(NamedTuple):
    """What the backbones of student and teacher gave, call by call."""

    student: List[Any]
    teacher: List[Any]

    def pairs(self, places: List[Place]) -> Pairs:
        """Return the maps of student and teacher by place.

        Args:
            places: Of :func:`map_places`.

        Raises:
            TypeError: A backbone ran more than once, or not at all.
        """
        return pair_maps(places,
                         maps_of(self.student, 'backbone of the student'),
                         maps_of(self.teacher, 'backbone of the teacher'))


@contextmanager
def recording_maps(student: nn.Module,
                   teacher: nn.Module) -> Iterator[BackboneMaps]:
    """Collect what two classifiers' backbones give in the calls inside.

    Args:
        student: The student.
        teacher: The teacher as it runs.
    """
    with record_output(student.backbone) as maps_student, record_output(
            teacher.backbone) as maps_teacher:
        yield BackboneMaps(maps_student, maps_teacher)


def _probe(loss: nn.Module, classifier: nn.Module,
           role: str) -> List[MapInfo]:
    backbone = getattr(classifier, 'backbone', None)
    if backbone is None:
        raise TypeError(
            f'{type(loss).__name__} compares the maps of backbones, and the '
            f'{type(classifier).__name__} of the {role} has no backbone of '
            "mmpretrain's: use an ImageClassifier (its backbone may be "
            'mmpretrain.TIMMBackbone), or DiffKDLogitsLoss.')
    return probe_maps(backbone, backbone, _image_size(backbone),
                      what=f'backbone of the {role}')


def _check_map(loss: nn.Module, classifier: nn.Module, maps: List[MapInfo],
               index: int, role: str) -> None:
    if maps[index].stride is None:
        raise TypeError(
            f'{type(loss).__name__} compares maps (N, C, H, W), and output '
            f'{index} of the {type(classifier.backbone).__name__} of the '
            f"{role} is none: set backbone.out_type='featmap' and "
            "neck=dict(type='GlobalAveragePooling') (vision transformers) or "
            'backbone.gap_before_final_norm=False (ConvNeXt and others), or '
            'use DiffKDLogitsLoss.')


def _image_size(backbone: nn.Module) -> int:
    # Some transformers run on images of one size, or not on smaller ones.
    patches = getattr(backbone, 'patch_embed', None)
    size = getattr(backbone, 'img_size', None) or getattr(
        patches, 'init_input_size', None) or _IMAGE_SIZE
    return int(size[0] if isinstance(size, (tuple, list)) else size)
