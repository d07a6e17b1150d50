"""What the losses of a classifier demand of the rest of the config."""
from typing import Any, Iterable, List

from mmpretrain.models import ClsDataPreprocessor
from torch import nn

from .two_views import TwoViewDataPreprocessor


def reads_maps(loss: nn.Module) -> bool:
    """Return whether a loss compares feature maps, and no logits.

    Args:
        loss: A distillation loss.
    """
    return getattr(loss, 'reads', 'logits') == 'maps'


def refuse_class_map(teacher_class_map: Any) -> None:
    """Raise if an option is set that no loss on maps reads.

    Args:
        teacher_class_map: Of the distiller.

    Raises:
        ValueError: It is not None.
    """
    if teacher_class_map is not None:
        raise ValueError(
            'teacher_class_map is set, but the losses compare feature maps, '
            'which have no classes: leave it out.')


def check_losses(losses: Iterable[nn.Module],
                 preprocessor: ClsDataPreprocessor) -> int:
    """Return the number of views that the losses compare, or raise.

    Args:
        losses: The distillation losses.
        preprocessor: The student's.

    Raises:
        ValueError: A loss is one of detectors, or what it needs, two views
            or single labels, is not what the preprocessor gives.
    """
    losses = list(losses)
    for loss in losses:
        if getattr(loss, 'needs_background', False):
            raise ValueError(
                f'{type(loss).__name__} takes the last class for background, '
                'which classifiers do not have: use a loss over all classes, '
                'such as KDLoss or GDKDLoss.')
    if preprocessor.batch_augments is not None:
        _check_labels(losses)
    return _count_views(losses, preprocessor)


def _check_labels(losses: Iterable[nn.Module]) -> None:
    for loss in losses:
        if getattr(loss, 'uses_target', False):
            raise ValueError(
                f'{type(loss).__name__} needs one target class per image, '
                'which Mixup and CutMix leave it without: remove '
                "train_cfg.augments and the preprocessor's "
                'batch_augments, or use a loss such as KDLoss.')


def _count_views(losses: List[nn.Module],
                 preprocessor: ClsDataPreprocessor) -> int:
    names = {getattr(loss, 'views', 1): type(loss).__name__
             for loss in losses}
    features = [type(loss).__name__ for loss in losses
                if getattr(loss, 'needs_adapter', False)]
    if 2 in names and features:
        raise ValueError(
            f'{names[2]} needs two views of each image, and {features[0]} '
            'compares features of one: use them in separate runs.')
    if len(names) > 1:
        raise ValueError(
            'some of the losses need two views of each image, others one: '
            'use losses of one kind in one run.')
    if 2 in names and not isinstance(preprocessor, TwoViewDataPreprocessor):
        raise ValueError(
            'the losses need two views of each image, which the '
            f"student's {type(preprocessor).__name__} does not "
            "take: set data_preprocessor.type='mmdeepkd."
            "TwoViewDataPreprocessor'; if the student is a config file it "
            'brings its own: set it in model.student, given as a dict.')
    return min(names)
