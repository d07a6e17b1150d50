"""The gradient streams: their losses, momenta and schedules."""
from typing import Any, Dict, List, Sequence

from mmengine.runner import Runner

from ..optimizers.base import DecoupledOptimizer
from ..optimizers.streams import PLAIN
from .layout import Row, in_columns, number

_HEADER = ('stream', 'momentum', 'backward', 'losses')


def stream_rows(runner: Runner, model: Any) -> List[Row]:
    """Return every stream of a run, and what schedules its losses.

    Args:
        runner: The runner, with its optimizer built.
        model: A distiller, or a model to train without one.
    """
    # Only a distiller names its losses; `losses` of other models is anything.
    losses = list(model.losses) if hasattr(model, 'loss_names') else []
    table = _table(getattr(runner.optim_wrapper, 'optimizer', None),
                   _names_by_stream(model, losses))
    count = len({row[2] for row in table} - {'-'})
    rows = [
        *_losses(losses),
        *zip(('streams', *[''] * len(table)), in_columns([_HEADER, *table])),
        ('', f'{count} backward{"s" if count > 1 else ""} per iteration'),
    ]
    for hook in runner.hooks:
        summary_row = getattr(hook, 'summary_row', None)
        if summary_row is not None:
            rows.append((type(hook).__name__, summary_row(runner)))
    return rows


def _losses(losses: Sequence[Any]) -> List[Row]:
    labels = ['losses', *[''] * len(losses)]
    return [(label, repr(loss)) for label, loss in zip(labels, losses)]


def _names_by_stream(model: Any, losses: Sequence[Any]) -> Dict[str, str]:
    """Map the streams to their losses, as they are called in the log."""
    weight = getattr(model, 'task_weight', 1.0)
    names: Dict[str, List[str]] = {
        'task': [f"the student's own x {number(weight)}"]
    }
    for name, loss in zip(getattr(model, 'loss_names', []), losses):
        for stream in loss.streams:
            names.setdefault(stream, []).append(f'{stream}.{name}')
    return {stream: ', '.join(found) for stream, found in names.items()}


def _table(optimizer: Any, names: Dict[str, str]) -> List[Sequence[str]]:
    """Return (stream, momentum, backward, losses) of each."""
    if not isinstance(optimizer, DecoupledOptimizer):
        groups = [] if optimizer is None else optimizer.param_groups
        momentum = _distinct(_plain_momentum(group) for group in groups)
        return [(stream, momentum, '1', found)
                for stream, found in names.items()]
    # A loss without streams, that of a plain model, is the stream `plain`.
    if list(names) == ['task']:
        names = {PLAIN: names['task']}
    leaders = optimizer.leaders()
    used = list(dict.fromkeys(leaders[s] for s in names if s in leaders))
    return [
        # The first iteration names a stream without a momentum.
        (stream, '-', '-', found) if stream not in leaders else
        (stream,
         _distinct(optimizer.momentum_of(stream, group)
                   for group in optimizer.param_groups),
         str(used.index(leaders[stream]) + 1), found)
        for stream, found in names.items()
    ]


def _plain_momentum(group: Dict[str, Any]) -> float:
    return float(group['betas'][0] if 'betas' in group else group.get(
        'momentum', 0.0))


def _distinct(values: Any) -> str:
    return ' / '.join(dict.fromkeys(number(value) for value in values)) or '-'
