"""Which tensors of a model a checkpoint holds, part by part."""
import re
from collections import OrderedDict
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

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
                    own: Mapping[str, Tensor], prefix: str = '') -> LoadReport:
    """Compare the tensors of a file with those of a model, by name and shape.

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
        elif _shape(state[key]) != tuple(value.shape):
            mismatched.append(f'{prefix}{key}: {_shape(state[key])} in the '
                              f'file, {tuple(value.shape)} in the model')
        fits = key in state and _shape(state[key]) == tuple(value.shape)
        part = (prefix + key).split('.')[0]
        matched, total = parts.get(part, (0, 0))
        parts[part] = (matched + fits, total + 1)
    unexpected = [
        prefix + key for key in state
        if key not in own and not key.endswith(_COUNTER)
    ]
    return LoadReport(what, source, parts, missing, unexpected, mismatched)


def require_match(report: LoadReport, state: Mapping[str, Any],
                  own: Mapping[str, Tensor]) -> None:
    """Raise if a file gave the model nothing, or its backbone nothing.

    Args:
        report: Of the two.
        state: The file's tensors by name.
        own: The model's ``state_dict``.

    Raises:
        RuntimeError: No tensor, or none of the backbone, matched; the
            message shows how the names or shapes differ.
    """
    if report.matched and report.parts.get('backbone', (1, 1))[0]:
        return
    part = 'the backbone' if report.matched else 'the model'
    raise RuntimeError(
        f'{report.what} finds nothing to load: none of the {_count(report)} '
        f'tensors of {part} matches {report.source} '
        f'({_difference(report, state, own)}).')


def watch_pretrained(
        model: nn.Module,
        record: Callable[[LoadReport], None]) -> List[RemovableHandle]:
    """Report what each ``init_cfg=dict(type='Pretrained')`` will load.

    The tensors are compared at the moment a module takes them, so the file
    is read once and renamed or resized tensors count as what they became.

    Args:
        model: The model, before ``init_weights``.
        record: Called with every report.

    Returns:
        Handles; ``remove()`` ends the watch. Until then a load that matches
        nothing raises a RuntimeError.
    """
    handles = []
    for name, module in model.named_modules():
        for source in _pretrained(getattr(module, 'init_cfg', None)):
            handles.append(
                # The public name came with torch 2.5.
                module._register_load_state_dict_pre_hook(
                    partial(_compare_init, module, name, source, record)))
    return handles


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


def _compare_init(module: nn.Module, name: str, source: str,
                  record: Callable[[LoadReport], None],
                  state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    if prefix:
        # A module around this one is being loaded.
        return
    own = module.state_dict()
    report = compare_tensors(f'init_cfg of {name or "the model"}', source,
                             state, own, f'{name}.' if name else '')
    require_match(report, state, own)
    record(report)


def _pretrained(init_cfg: Any) -> List[str]:
    configs = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return [
        str(config['checkpoint']) for config in configs
        if isinstance(config, dict) and config.get('checkpoint')
    ]


def _shape(value: Any) -> Tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))


def _count(report: LoadReport) -> int:
    return report.parts['backbone'][1] if report.matched else report.total


def _difference(report: LoadReport, state: Mapping[str, Any],
                own: Mapping[str, Tensor]) -> str:
    """Say how the names differ, and what to do about it."""
    theirs = next(iter(state), 'nothing')
    ours = next((key for key in own
                 if key.startswith('backbone.')), next(iter(own)))
    for key in state:
        if key.endswith(f'.{ours}'):
            prefix = key[:-len(ours)]
            cure = (f'set prefix={prefix!r} in it' if report.what.startswith(
                'init_cfg') else f'remove {prefix!r} from its names')
            return f'it has {key} where the model has {ours}: {cure}'
        if ours.endswith(f'.{key}'):
            part = ours[:-len(key) - 1]
            return (f'it has {key} where the model has {ours}: it holds '
                    f"{part} alone, so set {part}.init_cfg=dict(type="
                    "'Pretrained', checkpoint=...) instead")
    if report.mismatched:
        return (f'{report.mismatched[0]}: give the checkpoint of this '
                'architecture')
    return (f'it begins with {theirs}, the model has {ours}: give the '
            'checkpoint of this architecture')
