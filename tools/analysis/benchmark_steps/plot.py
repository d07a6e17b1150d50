"""The picture of how the cost grows."""
from pathlib import Path
from typing import Any, Dict

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

from .timing import spread  # noqa: E402


def draw(series: Dict[str, Any], path: Path) -> None:
    """Draw every series in both logarithms, with the exponents.

    Args:
        series: What :func:`growth.run` found.
        path: Of the picture; its suffix says the format.
    """
    figure, axes = plt.subplots(1, len(series), figsize=(11, 3.4))
    for axis, facts in zip(axes, series.values()):
        for name, arm in facts['arms'].items():
            found = {int(size): spread(times)
                     for size, times in arm['seconds'].items()}
            middle = [1e3 * value.median for value in found.values()]
            error = [[1e3 * abs(value.median - end) for value, end in zip(
                found.values(), ends)] for ends in zip(*(
                    (value.low, value.high) for value in found.values()))]
            axis.errorbar(list(found), middle, yerr=error, fmt='o-', ms=4,
                          capsize=2,
                          label=f'{name}: exponent {arm["exponent"]:.2f}')
        axis.set_xscale('log')
        axis.set_yscale('log')
        axis.set_xlabel(facts['label'])
        axis.set_ylabel('ms: median and quartiles')
        axis.grid(alpha=0.3, which='both')
        axis.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
