"""Which map of the teacher teaches which map of the student."""
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

from .maps import MapInfo

#: Index of a map of the student, or of one and of the teacher's.
Level = Union[int, Sequence[int]]


class Place(NamedTuple):
    """Where features of student and teacher are compared.

    Attributes:
        name: In the log and in the names of the adapter's tensors.
        student: Index of the student's map; 0 for logits.
        teacher: The same, of the teacher.
        student_channels: Channels of the student's map, or its classes.
        teacher_channels: The same, of the teacher.
    """

    name: str
    student: int
    teacher: int
    student_channels: int
    teacher_channels: int


def match_levels(levels: Optional[Sequence[Level]],
                 student: Sequence[MapInfo], teacher: Sequence[MapInfo],
                 default: str) -> List[Place]:
    """Pair the maps of student and teacher.

    Args:
        levels: Indices of the student's maps, or pairs of indices, the
            student's and the teacher's; negative ones count from the end.
            None: the default.
        student: Its maps.
        teacher: Its maps.
        default: ``'last'``: the last map of both, and an index stands for
            the same one in both. ``'strides'``: all maps of the student, and
            an index stands for the teacher's map of the same stride; of all
            maps those whose stride the teacher lacks are left out.

    Returns:
        One place per pair, called ``level<index of the student's map>``, by
        default of the last map ``map``.

    Raises:
        ValueError: A map does not exist, or is one of the student's and named
            twice, or no map of the teacher has its stride.
    """
    if levels is None and default == 'last':
        pairs, names = [(len(student) - 1, len(teacher) - 1)], ['map']
    else:
        if levels is None:
            pairs = _of_equal_stride(student, teacher)
        else:
            pairs = [_pair(level, student, teacher, default)
                     for level in levels]
        names = [f'level{own}' for own, _ in pairs]
    for own, _ in pairs:
        if [first for first, _ in pairs].count(own) > 1:
            raise ValueError(
                f'levels names the map {own} of the student twice: name each '
                'of its maps once.')
    return [
        Place(name, own, other, student[own].channels, teacher[other].channels)
        for name, (own, other) in zip(names, pairs)
    ]


def _of_equal_stride(student: Sequence[MapInfo],
                     teacher: Sequence[MapInfo]) -> List[Tuple[int, int]]:
    taught = [info.stride for info in teacher]
    pairs = [(i, taught.index(info.stride)) for i, info in enumerate(student)
             if info.stride is not None and info.stride in taught]
    if not pairs:
        raise ValueError(
            'no map of the student has the stride of one of the teacher '
            f'(student {_strides(student)}, teacher {_strides(teacher)}): '
            'pair them by index, levels=[(0, 1), ...].')
    return pairs


def _pair(level: Level, student: Sequence[MapInfo],
          teacher: Sequence[MapInfo], default: str) -> Tuple[int, int]:
    if isinstance(level, (list, tuple)):
        return (_index(level[0], student, 'student'),
                _index(level[1], teacher, 'teacher'))
    own = _index(level, student, 'student')
    if default == 'last':
        return own, _index(level, teacher, 'teacher')
    for other, info in enumerate(teacher):
        if info.stride == student[own].stride is not None:
            return own, other
    raise ValueError(
        f'the map {own} of the student has the stride '
        f'{_strides([student[own]])}, which no map of the teacher has '
        f"({_strides(teacher)}): name the teacher's too, "
        f'levels=[({own}, 0), ...].')


def _index(level: int, maps: Sequence[MapInfo], role: str) -> int:
    if not -len(maps) <= level < len(maps):
        raise ValueError(
            f'levels names the map {level} of the {role}, which has '
            f'{len(maps)}: choose from {-len(maps)} to {len(maps) - 1}.')
    return level % len(maps)


def _strides(maps: Sequence[MapInfo]) -> str:
    return ', '.join('none' if info.stride is None else f'{info.stride:g}'
                     for info in maps)
