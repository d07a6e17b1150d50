"""Which tensors of a model a checkpoint holds, part by part."""
import re
from collections import OrderedDict
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

# BatchNorm's counter: old files lack it, MMEngine and torch do not miss it. It
# fits every model and is not counted.
_COUNTER = 'num_batches_tracked'


class LoadReport(NamedTuple):
    """What of a model was found in a file, BatchNorm's counters aside.

    Attributes:
        what: What was loaded: ``'teacher'``, ``'load_from'``, ...
        source: The file, or whatever else the tensors came from.
        parts: ``{part: (matched, number of tensors)}``; a part is the first
            component of a tensor's name, such as ``backbone``.
        missing: Names that the file lacks.
        unexpected: Names that only the file has.
        mismatched: Names of another shape, with both shapes.
    """

    what: str
    source: str
    parts: Dict[str, Tuple[int, int]]
    missing: List[str]
    unexpected: List[str]
    mismatched: List[str]

    @property
    def matched(self) -> int:
        """Number of tensors found, in name and shape."""
        return sum(matched for matched, _ in self.parts.values())

    @property
    def total(self) -> int:
        """Number of the model's tensors."""
        return sum(total for _, total in self.parts.values())

    def describe(self) -> str:
        """Return the counts of every part and what did not match."""
        whole = self.matched == self.total
        count = (f'all {self.total}' if whole else
                 f'{self.matched} of {self.total}')
        parts = ', '.join(
            f'{part} {total if matched == total else f"{matched} of {total}"}'
            for part, (matched, total) in self.parts.items())
        rest = ''.join(
            f'; {few(names, what)}'
            for names, what in ((self.missing, 'missing'), (
                self.unexpected, 'unexpected'), (
                    self.mismatched, 'of another shape')) if names)
        return f'{self.source}: {count} tensors ({parts}){rest}'


def compare_tensors(what: str, source: str, state: Mapping[str, Any],
                    own: Mapping[str, Any], prefix: str = '') -> LoadReport:
    """Compare the tensors of a file with those of a model, by name and shape.

    What a module keeps beside tensors (``get_extra_state``) has no shape and
    is compared by name.

    Args:
        what: What is loaded.
        source: Where it comes from.
        state: The file's tensors by name.
        own: The model's ``state_dict``.
        prefix: Name of the model within a larger one, such as
            ``'backbone.'``, for the names in the report.

    Returns:
        The report.
    """
    parts: Dict[str, Tuple[int, int]] = {}
    missing, mismatched = [], []
    for key, value in own.items():
        if key.endswith(_COUNTER):
            continue
        if key not in state:
            missing.append(prefix + key)
        elif _shape(state[key]) != _shape(value):
            mismatched.append(f'{prefix}{key}: {_shape(state[key])} in the '
                              f'file, {_shape(value)} in the model')
        fits = key in state and _shape(state[key]) == _shape(value)
        part = (prefix + key).split('.')[0]
        matched, total = parts.get(part, (0, 0))
        parts[part] = (matched + fits, total + 1)
    unexpected = [
        prefix + key for key in state
        if key not in own and not key.endswith(_COUNTER)
    ]
    return LoadReport(what, source, parts, missing, unexpected, mismatched)


def strip_wrapper(state: Mapping[str, Any]) -> 'OrderedDict[str, Any]':
    """Drop the prefix ``module.``, as MMEngine's Runner does.

    Args:
        state: Tensors by name.
    """
    return OrderedDict(
        (re.sub(r'^module\.', '', key), value) for key, value in state.items())


def few(names: List[str], what: str) -> str:
    """Return the number of names and the first three.

    Args:
        names: Names.
        what: What they are.
    """
    if not names:
        return f'0 {what}'
    shown = ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
    return f'{len(names)} {what} ({shown})'


def _shape(value: Any) -> Tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))
