"""A report on the gradient streams: what is in it, and where it goes."""
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from .agreement import Agreement
from .loss_access import losses_of
from .stream_burst import StreamBurst
from .unwrap import unwrap

#: In the folder of the run's log.
STREAMS_FILE = 'streams.jsonl'

#: ``{name: number}``
Report = Dict[str, float]


def complete_report(runner: Runner, burst: StreamBurst, agreement: Agreement,
                    members: Mapping[str, Sequence[int]]) -> Report:
    """Return the report of a window, with what the run was set to in it.

    To be called by all ranks.

    Args:
        runner: The runner.
        burst: The updates of the window.
        agreement: Over the window.
        members: ``{part: indices of parameters}``.
    """
    report = burst.report(members, agreement)
    optimizer = runner.optim_wrapper.optimizer
    for stream in burst.streams:
        report[f'momentum/{stream}'] = optimizer.momentum_of(
            stream, optimizer.param_groups[0])
    topk = _topk(unwrap(runner.model))
    if topk is not None:
        report['topk'] = float(topk)
    return report


def write_report(runner: Runner, report: Report) -> None:
    """Give a report to the visualisers, to a file and to the log.

    To be called from ``after_train_iter``. Only rank 0 writes.

    Args:
        runner: The runner.
        report: ``{name: number}``.
    """
    if not is_main_process():
        return
    # The iteration under way is complete, too.
    step = runner.iter + 1
    runner.visualizer.add_scalars(report, step=step)
    line = dict(iter=step, epoch=runner.epoch, **report)
    with (Path(runner.log_dir) / STREAMS_FILE).open('a') as file:
        file.write(json.dumps(line) + '\n')
    runner.logger.info(f'Gradient streams: {describe(report)}')


def describe(report: Report) -> str:
    """Return the main numbers of a report, to be read.

    Args:
        report: ``{name: number}``.
    """
    rows: List[str] = []
    for name in report:
        kind, _, stream = name.partition('/')
        if kind == 'grad_norm':
            # Without one if no element's gradient varies.
            known = {'GSNR': report.get(f'gsnr/{stream}'),
                     'norm': report[name],
                     'loss': report.get(f'stream_loss/{stream}'),
                     'momentum': report.get(f'momentum/{stream}')}
            rows.append(f'{stream} ' + ', '.join(
                f'{key} {value:.4g}' for key, value in known.items()
                if value is not None))
    for key in ('topk', 'agreement'):
        if key in report:
            rows.append(f'{key} {report[key]:.4g}')
    return '; '.join(rows)


def _topk(model: Any) -> Optional[int]:
    """Return the K of the first loss that masks classes."""
    for loss in losses_of(model):
        topk: Optional[int] = getattr(loss, 'topk', None)
        if topk is not None:
            return topk
    return None
