"""The sections that look at the gradient streams, run by run."""
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .charts import Picture, chart, multiples
from .colors import PAIRS, cycled
from .curves import Curve, family, loss_curves
from .layout import ITERATION, Colors, Section, lines_of, section
from .runs import Run


def losses(runs: Sequence[Run], colors: Colors) -> Section:
    """Show the losses by stream, run by run."""
    figures = [
        chart(f'losses_{number}',
              f'{run.name}: training loss, summed by stream (weights are in '
              'it).', lines_of(found, colors.streams), ITERATION, 'loss')
        for number, run in enumerate(runs, 1)
        for found in [loss_curves(run)] if found]
    return section('losses', 'Losses by stream', figures,
                    'No run has logged a loss yet.')


def gsnr(runs: Sequence[Run], colors: Colors) -> Section:
    """Show the signal-to-noise ratios over time, whole and by part."""
    figures = []
    for number, run in enumerate(runs, 1):
        reports = run.records.streams
        whole = family(reports, 'gsnr')
        if not whole:
            continue
        smooth = family(reports, 'gsnr_smooth')
        lines = lines_of(whole, colors.streams) + [
            line._replace(label=f'{line.label}, smoothed', dashed=True)
            for line in lines_of(smooth, colors.streams)]
        figures.append(chart(
            f'gsnr_{number}',
            f'{run.name}: gradient signal-to-noise ratio of each stream, the '
            'average over all parameters'
            + ('; dashed: smoothed' if smooth else '') +
            '. Estimates are unbiased: small ones may be negative (shaded).',
            lines, ITERATION, 'GSNR'))
        parts = _by_part(family(reports, 'gsnr', parts=True))
        if parts:
            figures.append(multiples(
                f'gsnr_parts_{number}',
                f'{run.name}: GSNR of each stream, by part of the network.',
                {part: lines_of(found, colors.streams)
                 for part, found in parts.items()}, ITERATION, 'GSNR'))
    return section(
        'gsnr', 'Signal-to-noise ratio', figures,
        'No run has measured its streams: add '
        "default_hooks=dict(gsnr=dict(type='mmdeepkd.GSNRHook')) to its "
        'config, or --cfg-options default_hooks.gsnr.type=mmdeepkd.GSNRHook '
        'to its command.')


def _by_part(found: Dict[str, Curve]) -> Dict[str, Dict[str, Curve]]:
    """Turn ``<stream>/<part>`` around."""
    parts: Dict[str, Dict[str, Curve]] = {}
    for name, each in found.items():
        stream, _, part = name.partition('/')
        parts.setdefault(part, {})[stream] = each
    return parts


def momenta(runs: Sequence[Run], colors: Colors) -> Section:
    """Show the momentum of each stream."""
    return section(
        'momenta', 'Momenta',
        _families(runs, 'momentum', 'momentum', 'momentum of each stream.',
                  lambda names: colors.streams),
        'No run has logged momenta: GSNRHook does.')


def gradients(runs: Sequence[Run], colors: Colors) -> Section:
    """Show how large the gradients are, and how they lie to one another."""
    figures = _families(
        runs, 'grad_norm', 'gradient norm',
        "norm of each stream's gradient, before clipping.",
        lambda names: colors.streams)
    figures += _families(
        runs, 'grad_ratio', 'norm over that of task',
        "norm of each stream's gradient over that of the task.",
        lambda names: colors.streams)
    figures += _families(
        runs, 'grad_cosine', 'cosine',
        'cosine between the gradients of two streams.',
        lambda names: cycled(names, PAIRS), (-1.05, 1.05))
    return section('gradients', 'Gradients', figures,
                    'No run has logged gradient norms by stream: GSNRHook '
                    'does.')


def _families(runs: Sequence[Run], kind: str, ylabel: str, caption: str,
              colors: Callable[[List[str]], Dict[str, str]],
              limits: Optional[Tuple[float, float]] = None) -> List[Picture]:
    figures = []
    for number, run in enumerate(runs, 1):
        found = family(run.records.streams, kind)
        if found:
            figures.append(chart(
                f'{kind}_{number}', f'{run.name}: {caption}',
                lines_of(found, colors(list(found))), ITERATION, ylabel,
                limits))
    return figures
