"""The pictures of the page: curves by stream, and accuracy by K."""
from pathlib import Path
from statistics import mean
from typing import Dict, Sequence

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from ..bench_steps.curves import Runs, curve  # noqa: E402
from ..bench_steps.plot import save, trace  # noqa: E402
from ..bench_steps.statistic import estimate  # noqa: E402
from .streams import STREAMS, Watched  # noqa: E402

# Okabe and Ito's colours; the strokes differ too.
COLORS = {'task': '#0072B2', 'target': '#D55E00', 'non_target': '#009E73'}
_STROKES = {'task': '-', 'target': '--', 'non_target': '-.'}
_GREY = '#999999'
_AUTO = ('#D55E00', '#E69F00', '#000000', '#CC79A7')


def draw_streams(watched: Sequence[Watched], path: Path) -> None:
    """Draw GSNR and gradient norms by stream, a column per setting."""
    figure, axes = plt.subplots(
        2, len(watched), figsize=(3.6 * len(watched) + 0.6, 5.6),
        sharex='col', sharey='row', squeeze=False)
    for column, (title, runs) in enumerate(watched):
        axes[0, column].set_title(title, fontsize=10)
        for row, kind in enumerate(('gsnr', 'grad_norm')):
            draw_curves(axes[row, column], runs, kind)
            axes[row, column].set_yscale(
                'log' if _positive(axes[row, column]) else 'linear')
        axes[1, column].set_xlabel('iteration')
    axes[0, 0].set_ylabel('GSNR, all parameters')
    axes[1, 0].set_ylabel('norm of the gradient')
    axes[0, 0].legend(fontsize=9)
    save(figure, path)


def draw_momenta(runs: Runs, fixed: Dict[str, float], path: Path) -> None:
    """Draw the smoothed GSNR and the momenta that follow from it.

    Args:
        runs: Those with momenta driven by the GSNR.
        fixed: Momenta to compare with, by stream.
        path: The file.
    """
    figure, (ratios, momenta) = plt.subplots(1, 2, figsize=(8, 3.2))
    draw_curves(ratios, runs, 'gsnr_smooth')
    ratios.set_ylabel('GSNR, smoothed')
    draw_curves(momenta, runs, 'momentum')
    for stream, value in fixed.items():
        momenta.axhline(value, color=COLORS[stream], lw=0.8, ls=':')
    momenta.set_ylabel('momentum (dotted: fixed delta)')
    for axis in (ratios, momenta):
        axis.set_xlabel('iteration')
    ratios.legend(fontsize=9)
    save(figure, path)


def draw_topk(grid: Dict[int, Sequence[float]], auto: Dict[str, tuple],
              path: Path) -> None:
    """Draw test accuracies over the static K.

    Args:
        grid: Accuracies by K.
        auto: ``{title: (Ks, accuracies)}``, one each by seed, where K was
            chosen.
        path: The file.
    """
    figure, axis = plt.subplots(figsize=(9, 3.4))
    for k, values in grid.items():
        axis.plot([k] * len(values), values, 'o', color=_GREY, ms=3)
    found = {k: estimate(values) for k, values in grid.items()}
    axis.errorbar(list(found), [point.mean for point in found.values()],
                  yerr=[point.error for point in found.values()], fmt='-o',
                  color=COLORS['task'], ms=5, capsize=3, label='grid')
    for (title, (ks, values)), color, marker, aside in zip(
            auto.items(), _AUTO, 'D^sv', (0, 0, 1, 1)):
        # Aside, as those of the same share choose the same K.
        axis.plot([k + aside for k in ks], values, marker, color=color, ms=3)
        point = estimate(values)
        axis.errorbar(mean(ks) + aside, point.mean, yerr=point.error,
                      fmt=marker, ms=7, color=color, capsize=3, label=title)
    axis.set_xlabel('static K')
    axis.set_ylabel('test accuracy in per cent: mean and s.e.')
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9, bbox_to_anchor=(1.01, 1), loc='upper left')
    save(figure, path)


def draw_curves(axis: Axes, runs: Runs, kind: str) -> None:
    """Draw a quantity of every stream: mean and deviation over seeds."""
    for stream in STREAMS:
        trace(axis, curve(runs, f'{kind}/{stream}'), COLORS[stream],
              _STROKES[stream], stream)
    axis.grid(alpha=0.3)


def _positive(axis: Axes) -> bool:
    return all(min(line.get_ydata(), default=1) > 0 for line in axis.lines)
