"""The y axes of charts whose values may span decades, or be negative."""
import math
from typing import List, Sequence

from matplotlib.axes import Axes

# Over more than this range only logarithms show everything.
_WIDE = 50.0
# What is smaller than this part of the largest value is drawn as if zero.
_SMALLEST = 1e-4


def scale(axis: Axes, values: Sequence[float]) -> None:
    """Make the y axis logarithmic if the values need it.

    Values that are not positive stay visible: around zero the axis is then
    linear.

    Args:
        axis: Of the chart.
        values: All that the axis is to show; NaN is left out.
    """
    finite = _finite(values)
    sizes = [abs(y) for y in finite if y]
    if not sizes or max(sizes) <= _WIDE * min(sizes):
        return
    if min(finite) > 0:
        axis.set_yscale('log')
    else:
        axis.set_yscale('symlog',
                        linthresh=max(min(sizes), _SMALLEST * max(sizes)))


def shade_negative(axis: Axes, values: Sequence[float]) -> None:
    """Shade what is below zero, if any value is; fix the limits."""
    if min(_finite(values), default=0) >= 0:
        return
    low, high = axis.get_ylim()
    axis.axhline(0, color='black', linewidth=0.8)
    axis.axhspan(low, 0, color='black', alpha=0.06, linewidth=0)
    axis.set_ylim(low, high)


def _finite(values: Sequence[float]) -> List[float]:
    return [y for y in values if math.isfinite(y)]
