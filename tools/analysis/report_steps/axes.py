"""The y axes of charts whose values may span decades, or be negative."""
import math
from typing import List, Sequence

from matplotlib.axes import Axes

# Over more than this range only logarithms show everything.
_WIDE = 50.0
# What is smaller than this part of the largest value is drawn as if zero.
_SMALLEST = 1e-4


def scale(axis: Axes, values: Sequence[float], most_ticks: int = 9) -> None:
    """Make the y axis logarithmic if the values need it.

    Values that are not positive stay visible: around zero the axis is then
    linear.

    Args:
        axis: Of the chart.
        values: All that the axis is to show; NaN is left out.
        most_ticks: About how many numbers have a place beside the axis.
    """
    finite = _finite(values)
    sizes = [abs(y) for y in finite if y]
    if not sizes or max(sizes) <= _WIDE * min(sizes):
        return
    if min(finite) > 0:
        axis.set_yscale('log')
        return
    threshold = max(min(sizes), _SMALLEST * max(sizes))
    axis.set_yscale('symlog', linthresh=threshold)
    axis.set_yticks(_ticks(min(finite), max(finite), threshold, most_ticks))


def _ticks(low: float, high: float, threshold: float,
           most: int) -> List[float]:
    """Return zero and powers of ten that are far enough from one another.

    Args:
        low, high: The limits; zero is between them.
        threshold: Up to which the axis is linear: about as long as a decade.
        most: About how many.
    """
    zero = math.log10(threshold) - 1
    below, above = (max(math.log10(size) - zero, 1.0)
                    if size > 0 else 0.0 for size in (-low, high))
    step = max(2, math.ceil((below + above) / (most - 1)))
    first = math.ceil(zero + step - 0.75)
    powers = [[10.0 ** power for power in
               range(first, math.floor(zero + reach) + 1, step)]
              for reach in (below, above)]
    return [*(-y for y in reversed(powers[0])), 0.0, *powers[1]]


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
