"""The pictures of the page: every run, and curves of losses and gamma."""
from pathlib import Path
from typing import Sequence

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from ..bench_steps.benchmark import Outcome  # noqa: E402
from ..bench_steps.curves import Runs, curve  # noqa: E402
from ..bench_steps.plot import draw_arms, save, trace  # noqa: E402
from .logged import Logged, gammas, losses  # noqa: E402
from .plan import DiffKDPlan  # noqa: E402

# Okabe and Ito's colours; the strokes differ too.
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9',
           '#000000')
_STROKES = ('-', '--', '-.', ':')


def draw_results(plan: DiffKDPlan, detection: Outcome,
                 classification: Outcome, path: Path) -> None:
    """Draw the test results of every run, a panel for each task."""
    panels = ((plan.detection, detection, 'digits detection: box mAP'),
              (plan.classification, classification,
               'Digits-100: top-1 accuracy'))
    figure, axes = plt.subplots(2, 1, figsize=(7.5, 6))
    for axis, (course, outcome, title) in zip(axes, panels):
        draw_arms(axis, course.arms, outcome)
        axis.set_xlabel(f'{title} in per cent: seeds, mean and s.e.')
    axes[0].legend(fontsize=9)
    save(figure, path)


def draw_logged(logged: Sequence[Logged], path: Path) -> None:
    """Draw DiffKD's losses and gammas, a column for each setting."""
    figure, axes = plt.subplots(
        2, len(logged), figsize=(3.8 * len(logged) + 0.4, 6), sharex='col',
        squeeze=False)
    for column, (title, runs) in enumerate(logged):
        top, bottom = axes[:, column]
        top.set_title(title, fontsize=9)
        _draw(top, runs, losses(runs), 'feature.loss_')
        top.set_yscale('log')
        _draw(bottom, runs, gammas(runs), '')
        # Gamma ends close to 1, where the frame would hide it.
        bottom.set_ylim(-0.02, 1.02)
        bottom.set_xlabel('iteration')
    axes[0, 0].set_ylabel('loss, weight applied')
    axes[1, 0].set_ylabel('gamma')
    save(figure, path)


def _draw(axis: Axes, runs: Runs, names: Sequence[str], prefix: str) -> None:
    for i, name in enumerate(names):
        trace(axis, curve(runs, name), _COLORS[i % len(_COLORS)],
              _STROKES[i % len(_STROKES)], name[len(prefix):])
    axis.grid(alpha=0.3)
    if names:
        axis.legend(fontsize=7)
