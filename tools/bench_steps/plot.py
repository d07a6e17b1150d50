"""The benchmarks' pictures: every run of every method, and curves."""
from pathlib import Path
from typing import Sequence

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from .arms import Arm, Plan  # noqa: E402
from .benchmark import Outcome  # noqa: E402
from .comparing import test_by_seed  # noqa: E402
from .curves import Curve  # noqa: E402
from .statistic import estimate  # noqa: E402


def draw(plan: Plan, outcome: Outcome, path: Path) -> None:
    """Draw the test accuracies with mean and standard error."""
    figure, axis = plt.subplots(figsize=(7, 0.36 * len(plan.arms) + 1.2))
    draw_arms(axis, plan.arms, outcome)
    axis.set_xlabel('test accuracy in per cent: seeds, mean and s.e.')
    axis.legend(loc='lower left')
    save(figure, path)


def draw_arms(axis: Axes, arms: Sequence[Arm], outcome: Outcome) -> None:
    """Draw the runs of every arm in a row of its own, and the teacher."""
    for row, arm in enumerate(arms):
        values = list(test_by_seed(outcome, arm.name).values())
        found = estimate(values)
        axis.plot(values, [row] * len(values), 'o', color='0.7', ms=4)
        axis.errorbar(found.mean, row, xerr=found.error, fmt='D',
                      color='tab:blue', ms=5, capsize=3)
    axis.axvline(outcome.teacher.test, color='tab:red', ls='--', lw=1,
                 label='teacher')
    axis.set_yticks(range(len(arms)), [arm.title for arm in arms])
    axis.invert_yaxis()
    axis.grid(axis='x', alpha=0.3)


def trace(axis: Axes, found: Curve, color: str, stroke: str,
          label: str) -> None:
    """Draw a curve, with its deviation where there are several seeds."""
    axis.plot(found.iterations, found.mean, stroke, color=color, label=label)
    # Of one run there is none: nan.
    if any(sd == sd for sd in found.sd):
        axis.fill_between(
            found.iterations,
            [m - sd for m, sd in zip(found.mean, found.sd)],
            [m + sd for m, sd in zip(found.mean, found.sd)],
            color=color, alpha=0.2, lw=0)


def save(figure: Figure, path: Path) -> None:
    """Write a figure and forget it."""
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
