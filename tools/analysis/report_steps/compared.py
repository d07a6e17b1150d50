"""The sections that compare runs in one chart."""
from typing import Dict, Optional, Sequence

from .charts import chart
from .curves import Curve, counts_epochs, curve, metric_curve, metric_name
from .layout import ITERATION, Colors, Section, lines_of, section
from .runs import Run


def metrics(runs: Sequence[Run], colors: Colors) -> Section:
    """Compare accuracy or mAP over the training."""
    by_epoch = all(counts_epochs(run) for run in runs)
    xlabel = 'epoch' if by_epoch else ITERATION
    figures = []
    for name in dict.fromkeys(filter(None, map(metric_name, runs))):
        found = {run.name: metric_curve(run, name, by_epoch) for run in runs}
        figures.append(chart(
            f'metric_{len(figures)}' if figures else 'metric',
            f'{name} on the validation set.', lines_of(found, colors.runs),
            xlabel, f'{name} (%)'))
    return section('metrics', 'Accuracy', figures,
                    'No run has a metric of a validation yet.')


def topk(runs: Sequence[Run], colors: Colors) -> Section:
    """Show K of the top-K mask."""
    found = {run.name: curve(run.records.train, 'topk')
             or curve(run.records.streams, 'topk') for run in runs}
    return _compared('topk', 'Top-K schedule', found, colors, 'K',
                     'Non-target classes that the mask keeps.',
                     'No run has a top-K mask.')


def agreement(runs: Sequence[Run], colors: Colors) -> Section:
    """Show how often student and teacher say the same."""
    found = {run.name: curve(run.records.streams, 'agreement')
             for run in runs}
    found = {name: None if each is None else
             Curve(each.xs, [100 * y for y in each.ys])
             for name, each in found.items()}
    return _compared(
        'agreement', 'Agreement', found, colors, 'agreement (%)',
        'Share of samples (of a detector: RoIs) of whose classes student and '
        'teacher give the largest logit to the same.',
        'No run has logged whether student and teacher agree: GSNRHook does '
        'for a distiller.')


def learning_rates(runs: Sequence[Run], colors: Colors) -> Section:
    """Show the learning rate."""
    found = {run.name: curve(run.records.train, 'lr')
             or curve(run.records.train, 'base_lr') for run in runs}
    return _compared('lr', 'Learning rate', found, colors, 'learning rate',
                     'Learning rate of the first parameter group.',
                     'No run has logged its learning rate yet.')


def _compared(name: str, title: str, found: Dict[str, Optional[Curve]],
              colors: Colors, ylabel: str, caption: str,
              otherwise: str) -> Section:
    lines = lines_of(found, colors.runs)
    figures = [chart(name, caption, lines, ITERATION, ylabel, linear=True)
               ] if lines else []
    return section(name, title, figures, otherwise)
