"""Checks that datasets, student and teacher mean the same classes."""
from typing import Any, List, Optional, Sequence, Tuple

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.engine.dataset_classes import (
    Category,
    class_names,
    labelled_categories,
    plain_datasets,
    thing_names,
)
from mmdeepkd.registry import HOOKS

from ..head_classes import num_classes
from ..unwrap import unwrap


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare the classes of the datasets, the student and the teacher.

    Each of these mistakes trains without a sound: classes that the
    annotation file does not have (all boxes are dropped: mmdet's default is
    COCO's 80 classes), or has in another order (names are mixed up), a head
    of another size, a teacher with the same number of other classes. Models
    without a teacher are checked too.

    Classes that the file lacks, and classes without annotations, are only
    warned of, as long as the others have the right labels.

    Raises:
        ValueError: They disagree, or the training set has no image or no
            annotation of any class.
    """

    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Check the training and the validation set."""
        train = runner.train_loop.dataloader.dataset
        if len(train) == 0:
            raise ValueError(
                'the training set has no image: see that its annotation file '
                'has boxes of the classes in its metainfo, or set '
                'filter_cfg=dict(filter_empty_gt=False).')
        parts = list(plain_datasets(train))
        for part in parts:
            categories = _check_set(part, 'training', runner)
            if categories:
                _check_annotations(part, categories, runner, len(parts) == 1)
        if runner.val_loop is not None:
            for part in plain_datasets(runner.val_loop.dataloader.dataset):
                _check_set(part, 'validation', runner)
        _check_teacher(parts[0], runner)

    def before_test(self, runner: Runner) -> None:
        """Check the test set."""
        for part in plain_datasets(runner.test_loop.dataloader.dataset):
            _check_set(part, 'test', runner)


def _check_set(dataset: Any, role: str,
               runner: Runner) -> Optional[List[Category]]:
    """Check one dataset; return the categories of its file that it labels."""
    _check_names(dataset, role)
    names, categories = class_names(dataset), labelled_categories(dataset)
    if names is not None and categories is not None:
        _check_labels(dataset, role, names, categories)
        _warn_of_missing(dataset, role, names, categories, runner)
    _check_model(dataset, role, runner)
    return None if names is None else categories


def _check_names(dataset: Any, role: str) -> None:
    """Raise if the classes are a text: ('bolt') is one, ('bolt', ) is not."""
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if isinstance(names, str):
        raise ValueError(
            f'the {role} set has the text {names!r} for classes in its '
            f'metainfo: a single class needs a comma, ({names!r}, ).')


def _check_labels(dataset: Any, role: str, names: Tuple[str, ...],
                  categories: Sequence[Category]) -> None:
    """Raise if boxes have a label whose name is another one's."""
    if not categories:
        raise ValueError(
            f'the {role} set has {len(names)} classes in its metainfo '
            f'({_few(names)}), of which none is a category of '
            f'{dataset.ann_file}: name the categories of the file, in its '
            'order, in metainfo=dict(classes=(...)).')
    for _, name, label in categories:
        known = 0 <= label < len(names)
        # A name that is no class at all is one that the dataset translates.
        if known and (names[label] == name or name not in names):
            continue
        other = f'that of {names[label]!r}' if known else 'that of no class'
        raise ValueError(
            f'the {role} set gives the boxes of {name!r} the label {label}, '
            f'{other} in its metainfo: mmdet numbers the classes that '
            f'{dataset.ann_file} has by its order, '
            f'{_few([each.name for each in categories])}; write '
            'metainfo=dict(classes=(...)) in this order, or add what is '
            "missing to the file's categories.")


def _warn_of_missing(dataset: Any, role: str, names: Tuple[str, ...],
                     categories: Sequence[Category], runner: Runner) -> None:
    labels = {each.label for each in categories}
    missing = [name for i, name in enumerate(names) if i not in labels]
    if missing:
        runner.logger.warning(
            f'The {role} set has {len(names)} classes in its metainfo, of '
            f'which {len(missing)} are no category of {dataset.ann_file} '
            f'({_few(missing)}).')


def _check_model(dataset: Any, role: str, runner: Runner) -> None:
    names, class_map = thing_names(dataset), _class_map(runner)
    if names is None:
        return
    if class_map is None:
        _check_head(names, role, num_classes(unwrap(runner.model)), runner)
    elif len(names) != class_map.num_classes:
        raise ValueError(
            f'the {role} set has {len(names)} classes ({_few(names)}), the '
            f'student {class_map.num_classes}: the number is set in three '
            "places, num_classes of the student's head, num_classes of the "
            "teacher's head (or teacher_class_map) and "
            'metainfo=dict(classes=(...)) of the datasets; make them agree.')


def _check_head(names: Tuple[str, ...], role: str, head: Optional[int],
                runner: Runner) -> None:
    """Compare a model without a teacher, such as the teacher-to-be."""
    if head is None or head == len(names):
        return
    said = (f'the {role} set has {len(names)} classes ({_few(names)}), the '
            f"model's head {head}: set its num_classes and "
            'metainfo=dict(classes=(...)) of the datasets to the same')
    if head < len(names):
        raise ValueError(f'{said}.')
    # More outputs than classes train, if to no purpose.
    runner.logger.warning(f'{said[0].upper()}{said[1:]}.')


def _check_annotations(dataset: Any, categories: Sequence[Category],
                       runner: Runner, alone: bool) -> None:
    """Find the categories that a COCO file has no annotation of.

    A part of the training set may be of images without objects.
    """
    images = getattr(dataset, 'cat_img_map', None)
    if images is None:
        return
    empty = [each.name for each in categories if not images.get(each.id)]
    if len(empty) == len(categories) and alone:
        raise ValueError(
            f'the training set has no annotation of its {len(empty)} classes '
            f'({_few(empty)}) in {dataset.ann_file}: give the file that has '
            'them.')
    if empty:
        runner.logger.warning(
            f'The training set has no annotation of {len(empty)} of its '
            f'{len(categories)} classes ({_few(empty)}) in '
            f'{dataset.ann_file}.')


def _check_teacher(dataset: Any, runner: Runner) -> None:
    """Compare the names of the training set with the teacher's."""
    names, class_map = thing_names(dataset), _class_map(runner)
    known = None if class_map is None else class_map.teacher_names
    if names is None or known is None or known == names:
        return
    index, own, other = next(
        (i, *pair) for i, pair in enumerate(zip(names, known))
        if pair[0] != pair[1])
    where = (f'class {index} is {own!r} in the training set and {other!r} in '
             "the teacher's checkpoint")
    if class_map.given:
        pairs = ', '.join(f'{a!r} from {b!r}' for a, b in zip(names, known))
        runner.logger.info(f'teacher_class_map teaches {pairs}.')
    elif set(known) == set(names):
        raise ValueError(
            f'{where}, which has the same {len(names)} classes in another '
            "order: set model.teacher_class_map to the training set's names.")
    else:
        runner.logger.warning(
            f'{where[0].upper()}{where[1:]}: if it was trained on other '
            'classes it teaches wrong ones; list the right ones in '
            'model.teacher_class_map, or train it on this set.')


def _class_map(runner: Runner) -> Any:
    """Return the distiller's class map; plain models have none."""
    class_map = getattr(unwrap(runner.model), 'class_map', None)
    # Another model may mean something else by the name.
    return class_map if hasattr(class_map, 'teacher_names') else None


def _few(names: Sequence[str]) -> str:
    return ', '.join(map(repr, names[:4])) + (', ...' if names[4:] else '')
