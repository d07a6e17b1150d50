"""The benchmark's picture: every run of every method."""
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

from .arms import Plan  # noqa: E402
from .benchmark import Outcome  # noqa: E402
from .report import test_by_seed  # noqa: E402
from .statistic import estimate  # noqa: E402


def draw(plan: Plan, outcome: Outcome, path: Path) -> None:
    """Draw the test accuracies with mean and standard error."""
    figure, axis = plt.subplots(figsize=(7, 0.36 * len(plan.arms) + 1.2))
    for row, arm in enumerate(plan.arms):
        values = list(test_by_seed(outcome, arm.name).values())
        found = estimate(values)
        axis.plot(values, [row] * len(values), 'o', color='0.7', ms=4)
        axis.errorbar(found.mean, row, xerr=found.error, fmt='D',
                      color='tab:blue', ms=5, capsize=3)
    axis.axvline(outcome.teacher.test, color='tab:red', ls='--', lw=1,
                 label='teacher')
    axis.set_yticks(range(len(plan.arms)), [arm.title for arm in plan.arms])
    axis.invert_yaxis()
    axis.set_xlabel('test accuracy in per cent: seeds, mean and s.e.')
    axis.grid(axis='x', alpha=0.3)
    axis.legend(loc='lower left')
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
