"""Whether a teacher's classes are those of the images it is measured on."""
from typing import Any, Optional, Tuple

from mmengine.config import Config
from torch import nn

from mmdeepkd.engine.dataset_classes import plain_datasets, thing_names


def check_classes(cfg: Config, teacher: nn.Module, dataset: Any) -> None:
    """Raise unless the teacher's classes are those of the annotations.

    Classes of other names are only warned of.

    Args:
        cfg: Config of the distillation.
        teacher: The loaded teacher.
        dataset: The validation set.

    Raises:
        ValueError: They are of another number or in another order.
    """
    names = thing_names(next(plain_datasets(dataset)))
    counts = [
        module.num_classes for module in teacher.modules()
        if isinstance(getattr(module, 'num_classes', None), int)
    ]
    if names is None or not counts:
        return
    mapped = cfg.model.get('teacher_class_map') is not None
    # Of a detector's parts the RPN has one class.
    if mapped or max(counts) != len(names):
        raise ValueError(
            f'the teacher has {max(counts)} classes and the validation set '
            f'{len(names)}{", mapped by teacher_class_map" * mapped}, so '
            'that its predictions cannot be scored on it: evaluate it on the '
            'data it was trained on, with tools/test.py and its own config.')
    _compare_names(names, _known_names(teacher))


def _compare_names(names: Tuple[str, ...],
                   known: Optional[Tuple[str, ...]]) -> None:
    # Not every file has the names of its own classes.
    if known is None or len(known) != len(names) or known == names:
        return
    index = [a == b for a, b in zip(names, known)].index(False)
    where = (f'class {index} is {names[index]!r} in the validation set and '
             f"{known[index]!r} in the teacher's checkpoint")
    if set(known) == set(names):
        raise ValueError(
            f'{where}, which has the same {len(names)} classes in another '
            'order, so that its predictions cannot be scored: write '
            'metainfo=dict(classes=(...)) of the datasets in its order, or '
            'evaluate it with its own config.')
    print(f'warning: {where}: if it was trained on other classes, its metric '
          'is of wrong ones, and it teaches them.')


def _known_names(teacher: nn.Module) -> Optional[Tuple[str, ...]]:
    """Return the names in the checkpoint, which one of the modules has."""
    for module in teacher.modules():
        names = getattr(module, 'class_names', None)
        if names is not None:
            return tuple(names)
    return None
