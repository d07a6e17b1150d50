"""Where a report on the gradient streams goes."""
import json
from pathlib import Path
from typing import Dict, List

from mmengine.dist import is_main_process
from mmengine.runner import Runner

#: In the folder of the run's log.
STREAMS_FILE = 'streams.jsonl'


def write_report(runner: Runner, report: Dict[str, float]) -> None:
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


def describe(report: Dict[str, float]) -> str:
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
