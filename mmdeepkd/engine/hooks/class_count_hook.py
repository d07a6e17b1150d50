"""Checks that datasets, student and teacher mean the same classes."""
from typing import Any, Tuple

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdeepkd.engine.dataset_classes import (
    class_names,
    labelled_names,
    plain_datasets,
)
from mmdeepkd.registry import HOOKS


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare the classes of the datasets, the student and the teacher.

    Each of these mistakes trains without a sound: classes that the
    annotation file does not have (all boxes are dropped: mmdet's default is
    COCO's 80 classes), or has in another order (names are mixed up), a head
    of another size, a teacher with the same number of other classes.

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
        for dataset in plain_datasets(train):
            _check_file(dataset, 'training')
            _check_model(dataset, 'training', runner)
            _check_annotations(dataset, runner)
        if runner.val_loop is not None:
            for dataset in plain_datasets(runner.val_loop.dataloader.dataset):
                _check_file(dataset, 'validation')
                _check_model(dataset, 'validation', runner)
        _check_teacher(train, runner)

    def before_test(self, runner: Runner) -> None:
        """Check the test set."""
        for dataset in plain_datasets(runner.test_loop.dataloader.dataset):
            _check_file(dataset, 'test')
            _check_model(dataset, 'test', runner)


def _check_file(dataset: Any, role: str) -> None:
    """Raise if a COCO file has other categories, or in another order."""
    names, labels = class_names(dataset), labelled_names(dataset)
    if names is None or labels is None or tuple(labels) == names:
        return
    missing = [name for name in names if name not in labels]
    if missing:
        raise ValueError(
            f'the {role} set has {len(names)} classes in its metainfo, of '
            f'which {len(missing)} are no category of {dataset.ann_file} '
            f'(first: {missing[0]!r}): name the categories of the file, in '
            'its order, in metainfo=dict(classes=(...)).')
    if set(labels) == set(names):
        raise ValueError(
            f'the {role} set has the classes {_few(names)} in its metainfo, '
            f'and {dataset.ann_file} the categories {_few(tuple(labels))}, by '
            'whose order mmdet numbers them: write '
            'metainfo=dict(classes=(...)) in the order of the file.')


def _check_model(dataset: Any, role: str, runner: Runner) -> None:
    names, class_map = class_names(dataset), _class_map(runner)
    if names is None or class_map is None:
        return
    if len(names) != class_map.num_classes:
        raise ValueError(
            f'the {role} set has {len(names)} classes ({_few(names)}), the '
            f'student {class_map.num_classes}: the number is set in three '
            "places, num_classes of the student's head, num_classes of the "
            "teacher's head (or teacher_class_map) and "
            'metainfo=dict(classes=(...)) of the datasets; make them agree.')


def _check_annotations(dataset: Any, runner: Runner) -> None:
    """Find the classes that a COCO file has no annotation of."""
    names, images = class_names(dataset), getattr(dataset, 'cat_img_map', None)
    labels = labelled_names(dataset)
    if names is None or images is None or labels is None:
        return
    empty = [name for name, number in zip(labels, dataset.cat_ids)
             if not images.get(number)]
    if len(empty) == len(labels):
        raise ValueError(
            f'the training set has no annotation of its {len(names)} classes '
            f'({_few(names)}) in {dataset.ann_file}: give the file that has '
            'them.')
    if empty:
        runner.logger.warning(
            f'The training set has no annotation of {len(empty)} of its '
            f'{len(names)} classes ({_few(tuple(empty))}) in '
            f'{dataset.ann_file}.')


def _check_teacher(train: Any, runner: Runner) -> None:
    """Compare the names of the training set with the teacher's."""
    class_map = _class_map(runner)
    names = class_names(next(plain_datasets(train)))
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
    model = runner.model
    if is_model_wrapper(model):
        model = model.module
    return getattr(model, 'class_map', None)


def _few(names: Tuple[str, ...]) -> str:
    return ', '.join(map(repr, names[:4])) + (', ...' if names[4:] else '')
