"""The pictures of the slices, all checkpoints on one scale."""
from pathlib import Path
from typing import Any, Dict

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.colors import LogNorm, Normalize  # noqa: E402

from tools.analysis.landscape_steps.levels import is_wide  # noqa: E402

_STEP = 'step along {}, in lengths of the weights'


def draw_lines(data: Dict[str, Any], path: Path) -> None:
    """Draw the loss along every direction, and how much higher it is there.

    Thin lines are the directions, thick ones their mean.

    Args:
        data: What the JSON file holds.
        path: Of the picture.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True,
                                layout='constrained')
    steps = data['steps']
    for number, facts in enumerate(data['checkpoints']):
        lines = np.array([each['loss'] for each in data['slices']
                          if each['dims'] == 1
                          and each['name'] == facts['name']], float)
        color = f'C{number}'
        for axis, base in zip(axes, (0.0, facts['loss'])):
            if len(lines) > 1:
                axis.plot(steps, lines.T - base, color=color, lw=0.6,
                          alpha=0.5)
            axis.plot(steps, lines.mean(0) - base, color=color, marker='.',
                      label=facts['name'])
    low, high = axes[0].dataLim.intervaly
    axes[0].set_yscale('log' if is_wide(low, high) else 'linear')
    axes[0].set_ylabel('task loss')
    axes[1].set_ylabel('rise above the loss at 0')
    for axis in axes:
        axis.set_xlabel(_STEP.format('the direction'))
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def draw_contours(data: Dict[str, Any], path: Path) -> None:
    """Draw the two-dimensional slices beside each other.

    Args:
        data: What the JSON file holds.
        path: Of the picture.
    """
    slices = [each for each in data['slices'] if each['dims'] == 2]
    levels, steps = data['levels'], data['steps']
    scale = LogNorm if is_wide(levels[0], levels[-1]) else Normalize
    norm = scale(levels[0], levels[-1])
    figure, axes = plt.subplots(
        1, len(slices), figsize=(4.2 * len(slices) + 1, 4), squeeze=False,
        sharex=True, sharey=True, layout='constrained')
    for axis, each in zip(axes[0], slices):
        losses = np.array(each['loss'], float)
        shown = axis.contourf(steps, steps, losses, levels, norm=norm)
        axis.contour(steps, steps, losses, levels, colors='white',
                     linewidths=0.4)
        axis.plot(0, 0, '+', color='white')
        axis.set_title(each['name'])
        axis.set_xlabel(_STEP.format('direction 1'), fontsize=8)
        axis.set_aspect('equal')
    axes[0][0].set_ylabel('direction 2')
    bar = figure.colorbar(shown, ax=axes[0].tolist(), label='task loss')
    bar.set_ticks(levels[::2], labels=[f'{level:.3g}' for level in
                                       levels[::2]])
    bar.minorticks_off()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110)
    plt.close(figure)
