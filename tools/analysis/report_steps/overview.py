"""The table of all runs."""
import math
from statistics import median
from typing import List, Optional, Sequence

from .curves import metric_curve, metric_name
from .layout import Section, Table
from .records import Record
from .runs import Run

_HEAD = ['run', 'iterations', 'metric (%)', 'final', 'best',
         'ms per iteration', 'peak memory (MB)', 'total time', 'config',
         'versions']
_TEXT = ('Time per iteration is the median of the logged intervals; total '
         'time is that of the text logs, with validation, without the pauses '
         'between the sessions of a resumed run and without sessions of '
         'which a later one logged all iterations again.')


def overview(runs: Sequence[Run]) -> Section:
    """Return the section that compares all runs in numbers."""
    text = [_TEXT] + [
        f'{run.name}: {run.records.broken} broken lines of its logs were '
        'skipped.' for run in runs if run.records.broken]
    return Section('runs', 'Runs', text, [], [
        Table('All runs', _HEAD, [_row(run) for run in runs])])


def _row(run: Run) -> List[str]:
    train = run.records.train
    name = metric_name(run)
    found = metric_curve(run, name, False) if name else None
    values = [y for y in found.ys if math.isfinite(y)] if found else []
    times = _finite(train, 'time')
    memory = _finite(train, 'memory')
    done = [r['iter'] for r in [*train, *run.records.streams]]
    epochs = [r['epoch'] for r in train if 'epoch' in r]
    counted = (f' (epoch {max(epochs):.0f}{_planned(run, "max_epochs")})'
               if epochs else _planned(run, 'max_iters'))
    return [
        run.name,
        f'{max(done):.0f}{counted}' if done else '–',
        name or '–',
        f'{values[-1]:.1f}' if values else '–',
        f'{max(values):.1f}' if values else '–',
        f'{1000 * median(times):.0f}' if times else '–',
        f'{max(memory):.0f}' if memory else '–',
        _duration(run.log.seconds),
        run.config_name or '–',
        run.log.versions or '–',
    ]


def _planned(run: Run, key: str) -> str:
    planned = ((run.cfg or {}).get('train_cfg') or {}).get(key)
    return f' of {planned}' if planned else ''


def _finite(records: Sequence[Record], key: str) -> List[float]:
    return [r[key] for r in records if math.isfinite(r.get(key, math.nan))]


def _duration(seconds: Optional[float]) -> str:
    if seconds is None:
        return '–'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{rest:02}'
