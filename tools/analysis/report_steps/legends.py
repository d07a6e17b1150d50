"""Legends above the charts, which grow with them: they never cover data."""
import math
import textwrap
from typing import Any, Dict, List, Sequence

from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

_FONT = 9
# In inches: of a line of text; of the figures; of the sample of a line with
# the space beside it.
_LINE, _ACROSS, _SAMPLE = 0.18, 4.0, 0.6


def add_legend(figure: Figure, handles: Dict[str, Any]) -> None:
    """Put a legend above all axes of a figure of constrained layout.

    Args:
        figure: As much higher as :func:`legend_height` says.
        handles: What stands for each name.
    """
    labels = _labels(list(handles))
    figure.legend(list(handles.values()), labels, loc='outside upper left',
                  ncols=_columns(labels), fontsize=_FONT, columnspacing=1.2,
                  labelspacing=0.35, frameon=False)


def legend_height(names: Sequence[str]) -> float:
    """Return how much a legend of these names needs, in inches."""
    labels = _labels(names)
    lines = max(label.count('\n') + 1 for label in labels)
    return 0.1 + _LINE * lines * math.ceil(len(labels) / _columns(labels))


def wrapped(name: str, inches: float, font: float) -> str:
    """Break a name into lines, anywhere if it has no place to break it.

    A dollar is one, and begins no formula.
    """
    name = name.replace('$', r'\$')
    width = _width(name, font)
    if width <= inches:
        return name
    letters = int(len(name) * inches / width)
    return '\n'.join(textwrap.wrap(name, max(1, letters)))


def _labels(names: Sequence[str]) -> List[str]:
    return [wrapped(name, 0.9 * (_ACROSS - _SAMPLE), _FONT) for name in names]


def _columns(labels: Sequence[str]) -> int:
    widest = max(_width(line, _FONT) for label in labels
                 for line in label.split('\n'))
    return max(1, min(len(labels), int(_ACROSS / (widest + _SAMPLE))))


def _width(text: str, font: float) -> float:
    """Return how wide a line of text is, in inches."""
    return TextPath((0, 0), text, size=font).get_extents().width / 72
