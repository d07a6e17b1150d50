"""The curves of a run, from its records."""
import math
import re
from typing import Dict, List, NamedTuple, Optional, Sequence

from tools.demo_steps.metrics import DISTILLATION_STREAMS, stream_losses

from .records import Record
from .runs import Run

# What a validation line has beside metrics.
_NO_METRIC = ('step', 'iter', 'epoch', 'time', 'data_time', 'memory')
_KNOWN_METRICS = ('coco/bbox_mAP', 'accuracy/top1')
_STREAM_ORDER = ('task', *DISTILLATION_STREAMS, 'plain')
_STREAM_KINDS = ('gsnr', 'gsnr_smooth', 'grad_norm', 'grad_ratio', 'momentum',
                 'stream_loss')


class Curve(NamedTuple):
    """Values over iterations or epochs, at least one of them finite."""

    xs: List[float]
    ys: List[float]


def curve(records: Sequence[Record], key: str,
          x: str = 'iter') -> Optional[Curve]:
    """Return the values of a key, or None if no record has one."""
    points = sorted(((r[x], r[key]) for r in records if key in r and x in r),
                    key=lambda point: point[0])
    if not any(math.isfinite(y) for _, y in points):
        return None
    return Curve([x for x, _ in points], [y for _, y in points])


def family(records: Sequence[Record], kind: str,
           parts: bool = False) -> Dict[str, Curve]:
    """Return what a report has of a kind, such as ``gsnr``.

    Args:
        records: Reports of GSNRHook.
        kind: What stands before the first stroke.
        parts: Whether to return those of the parts (``<stream>/<part>``)
            instead of those of all parameters.
    """
    names = dict.fromkeys(key[len(kind) + 1:] for r in records for key in r
                          if key.startswith(f'{kind}/'))
    found = {name: curve(records, f'{kind}/{name}') for name in names
             if ('/' in name) == parts}
    ordered = sorted(found, key=_order)
    return {name: found[name] for name in ordered if found[name] is not None}


def streams_of(runs: Sequence[Run]) -> List[str]:
    """Return all streams of some runs, the papers' first."""
    found = {name for run in runs
             for name in (*(n for kind in _STREAM_KINDS for n in
                            family(run.records.streams, kind)),
                          *loss_curves(run))}
    return sorted(found, key=_order)


def loss_curves(run: Run) -> Dict[str, Curve]:
    """Return the losses by stream, of the log or else of the reports."""
    records = [
        {'iter': r['iter'], **stream_losses(r, _streams(run))}
        for r in run.records.train if any('loss' in key for key in r)]
    names = dict.fromkeys(key for r in records for key in r if key != 'iter')
    found = {name: curve(records, name) for name in names}
    logged = {name: each for name, each in found.items() if each is not None}
    logged = logged or family(run.records.streams, 'stream_loss')
    return {name: logged[name] for name in sorted(logged, key=_order)}


def metric_name(run: Run) -> Optional[str]:
    """Return the metric that counts: box mAP, top-1, else the first.

    One that was never finite does not.
    """
    names = [key for r in run.records.val for key in r
             if key not in _NO_METRIC and math.isfinite(r[key])]
    known = [name for name in _KNOWN_METRICS if name in names]
    return (known or names or [None])[0]


def metric_curve(run: Run, name: str, by_epoch: bool) -> Optional[Curve]:
    """Return a metric in per cent over epochs or iterations."""
    found = curve(run.records.val, name, 'step' if by_epoch else 'iter')
    if found is None:
        return None
    return Curve(found.xs, [per_cent(name, y) for y in found.ys])


def counts_epochs(run: Run) -> bool:
    """Whether the validations of a run are numbered by epochs."""
    epochs = [r['epoch'] for r in run.records.train if 'epoch' in r]
    # LoggerHook(log_metric_by_epoch=False) numbers them by iterations.
    return bool(epochs) and all(r.get('step', 0) <= max(epochs)
                                for r in run.records.val)


def per_cent(name: str, value: float) -> float:
    """Return a metric in per cent; mAP is logged as a fraction."""
    return 100 * value if re.search(r'mAP|AP\d|AR@', name) else value


def _streams(run: Run) -> Sequence[str]:
    """Return the streams beside the task, also a run's own."""
    own = {name for kind in _STREAM_KINDS
           for name in family(run.records.streams, kind)}
    return [*DISTILLATION_STREAMS, *(own - {'task', 'plain'})]


def _order(name: str) -> tuple:
    """Order as the papers, then by name; pairs by both."""
    return tuple(
        (_STREAM_ORDER.index(part) if part in _STREAM_ORDER
         else len(_STREAM_ORDER), part)
        for part in re.split('[-/]', name)[:2])
