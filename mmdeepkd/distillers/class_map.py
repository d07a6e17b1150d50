"""Which class of the teacher teaches which class of the student."""
from difflib import get_close_matches
from typing import (
    Any,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from torch import Tensor

#: The teacher's class for each class of the student, by index or by name.
ClassMapping = Union[Sequence[int], Sequence[str]]


class Classes(NamedTuple):
    """How many classes student and teacher have, and what they are called.

    Args:
        student: Number of the student's classes, without background.
        teacher: The same, of the teacher.
        teacher_names: Names of the teacher's classes in its order, as far
            as its checkpoint tells.
        setting: Where a config sets the number.
    """

    student: int
    teacher: int
    teacher_names: Optional[Tuple[str, ...]]
    setting: str


def read_class_names(checkpoint: Dict[str, Any]) -> Optional[Tuple[str, ...]]:
    """Return the names of the classes that a checkpoint was trained on.

    Args:
        checkpoint: What was loaded; mmdet and mmpretrain write the names to
            ``meta['dataset_meta']['classes']``, their older versions to
            ``CLASSES`` there or in ``meta``.

    Returns:
        The names in order, or None if it holds none.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict):
        return None
    meta = {**meta, **(meta.get('dataset_meta') or {})}
    names = meta.get('classes', meta.get('CLASSES'))
    if not isinstance(names, (list, tuple)):
        return None
    return tuple(str(name) for name in names)


class ClassMap:
    """The teacher's logits in the student's columns.

    Without a mapping the columns are left as they are. With one, the columns
    of classes that the student does not have drop out, so that the teacher's
    distribution is that over the student's classes (and background) alone;
    what else it holds likely is not taught.

    It is no module and has no buffer: the student's checkpoints stay plain.

    Args:
        mapping: ``teacher_class_map`` of a distiller: for each class of the
            student the teacher's, by index or by name; None if they are the
            same.
        classes: Those of student and teacher.
        background: Whether the last column is the background, of both.

    Attributes:
        num_classes: Number of the student's classes, without background.
        num_classes_teacher: The same, of the teacher.
        teacher_names: Name the teacher has for each class of the student, or
            None where its checkpoint does not tell.
        given: Whether there is a mapping.

    Raises:
        TypeError: The mapping is no list of indices or of names.
        ValueError: The counts differ without a mapping, or the mapping has
            another length, an unknown class or one twice: a teacher cannot
            tell apart what is one class to it.
    """

    def __init__(self, mapping: Optional[ClassMapping], classes: Classes,
                 background: bool) -> None:
        self.num_classes = classes.student
        self.num_classes_teacher = classes.teacher
        self.given = mapping is not None
        # Not every file has the names of its own classes.
        if len(classes.teacher_names or ()) != classes.teacher:
            classes = classes._replace(teacher_names=None)
        self.teacher_names = classes.teacher_names
        self._columns: List[int] = []
        self._index: Optional[Tensor] = None
        if mapping is None:
            _check_counts(classes)
            return
        self._columns = _resolve(mapping, classes)
        if classes.teacher_names is not None:
            self.teacher_names = tuple(
                classes.teacher_names[i] for i in self._columns)
        if background:
            self._columns.append(classes.teacher)

    def __call__(self, logits_teacher: Tensor) -> Tensor:
        """Return the columns of the student's classes, in its order.

        Args:
            logits_teacher: (N, C) of the teacher, background last if any.

        Returns:
            (N, C) of the student's C.
        """
        if not self.given:
            return logits_teacher
        if self._index is None or self._index.device != logits_teacher.device:
            # Kept, for each copy to a GPU makes the GPU wait.
            self._index = torch.tensor(
                self._columns, device=logits_teacher.device)
        return logits_teacher.index_select(1, self._index)


def _check_counts(classes: Classes) -> None:
    if classes.student != classes.teacher:
        raise ValueError(
            f'the student has {classes.student} classes, the teacher '
            f'{classes.teacher}: set {classes.setting} of both configs to '
            "the number of classes in the datasets' metainfo, and train the "
            "teacher on the same classes; if the teacher knows the student's "
            'among others, list its class for each of them in '
            'teacher_class_map.')


def _resolve(mapping: ClassMapping, classes: Classes) -> List[int]:
    """Return the teacher's index for each class of the student."""
    if isinstance(mapping, str) or not isinstance(mapping, Sequence) or not (
            all(isinstance(entry, str) for entry in mapping) or all(
                type(entry) is int for entry in mapping)):
        raise TypeError(
            "teacher_class_map must list the teacher's class for each class "
            'of the student, all by index or all by name, got '
            f'{mapping!r}.')
    if len(mapping) != classes.student:
        raise ValueError(
            f'teacher_class_map has {len(mapping)} entries, the student '
            f'{classes.student} classes ({classes.setting}): list the '
            "teacher's class for each of them, in their order.")
    columns = _find_names(mapping, classes)
    unknown = [i for i in columns if not 0 <= i < classes.teacher]
    if unknown:
        raise ValueError(
            f'teacher_class_map has the indices {unknown}, the teacher '
            f'{classes.teacher} classes: they are counted from 0 to '
            f'{classes.teacher - 1}.')
    twice = sorted({entry for entry in mapping if mapping.count(entry) > 1})
    if twice:
        raise ValueError(
            f'teacher_class_map has {twice} more than once, which the teacher '
            "cannot tell apart: give each of the student's classes a class "
            'of its own, or train a teacher that knows them.')
    return columns


def _find_names(mapping: ClassMapping, classes: Classes) -> List[int]:
    names = classes.teacher_names
    missing = [entry for entry in mapping if isinstance(entry, str)
               and entry not in (names or ())]
    if missing and names is None:
        raise ValueError(
            'teacher_class_map has names, but the teacher checkpoint does '
            f'not name its {classes.teacher} classes '
            "(meta['dataset_meta']['classes']): give their indices instead.")
    if missing:
        assert names is not None
        near = sorted({name for entry in missing
                       for name in get_close_matches(entry, names)})
        hint = f'near are {near}' if near else f'it knows {list(names[:10])}'
        raise ValueError(
            f'teacher_class_map has the names {missing}, which the teacher '
            f'does not know; {hint}: correct them, and for classes it does '
            'not have train a teacher that has them.')
    return [names.index(entry) if names and isinstance(entry, str)
            else int(entry) for entry in mapping]
