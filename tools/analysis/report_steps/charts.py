"""Line charts that stay readable on a phone, as PNG.

A chart is so narrow that its text, of usual size, is still legible where a
page shows it 350 pixels wide.
"""
import io
import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .axes import scale, shade_negative
from .legends import add_legend, legend_height, wrapped

_DPI = 160
WIDTH = 4.2
#: Stands in every file, so that only files of this tool are replaced.
MAKER = 'mmdeepkd tools/analysis/report.py'
_MARKED = 30


class Line(NamedTuple):
    """One line of a chart: at least one of its values is finite."""

    label: str
    xs: List[float]
    ys: List[float]
    color: str
    dashed: bool = False
    # Of matplotlib: tells lines of one colour apart.
    style: str = '-'


class Picture(NamedTuple):
    """A figure of the page, and of a file beside it."""

    name: str
    png: bytes
    alt: str
    caption: str


def chart(name: str, caption: str, lines: Sequence[Line], xlabel: str,
          ylabel: str, limits: Optional[Tuple[float, float]] = None,
          linear: bool = False) -> Picture:
    """Draw lines in one coordinate system.

    Args:
        name: Of the file, without its suffix.
        caption: What the figure shows.
        lines: One or more.
        xlabel, ylabel: Of the axes.
        limits: Of the y axis, which is then linear; None: those of the
            values.
        linear: Whether the y axis is linear whatever the range.
    """
    named = _named(lines)
    figure = Figure((WIDTH, 2.7 + legend_height(named)), layout='constrained')
    axis = figure.add_subplot()
    values = () if linear or limits else [
        y for line in lines for y in line.ys]
    handles = _draw(axis, lines, values)
    shade_negative(axis, values)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    if limits is not None:
        axis.set_ylim(*limits)
    add_legend(figure, {name: handles[name] for name in named})
    return Picture(name, png(figure), _told(ylabel, xlabel, lines), caption)


def multiples(name: str, caption: str, panels: Dict[str, Sequence[Line]],
              xlabel: str, ylabel: str) -> Picture:
    """Draw a small chart per panel, two beside one another, on one scale.

    Args:
        name: Of the file, without its suffix.
        caption: What the figure shows.
        panels: Lines by the titles of the panels; a label is everywhere the
            same line.
        xlabel, ylabel: Of all axes.
    """
    rows = math.ceil(len(panels) / 2)
    named = list(dict.fromkeys(line.label for lines in panels.values()
                               for line in lines))
    figure = Figure((WIDTH, 1.4 * rows + 0.4 + legend_height(named)),
                    layout='constrained')
    axes = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    values = [y for lines in panels.values() for line in lines
              for y in line.ys]
    handles = {}
    for axis, (title, lines) in zip(axes.flat, panels.items()):
        axis.set_title(wrapped(title, 1.6, 9), fontsize=9)
        handles.update(_draw(axis, lines, values, thin=True))
        axis.tick_params(labelsize=8)
    for axis in axes.flat[:len(panels)]:
        # Not before all are drawn: it fixes the limits that they share.
        shade_negative(axis, values)
    for axis in axes.flat[len(panels):]:
        axis.set_axis_off()
    for axis in axes.flat[:len(panels)][-2:]:
        axis.tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    add_legend(figure, handles)
    alt = f'{len(panels)} small line charts of {ylabel} by {xlabel}. '
    alt += ' '.join(f'{title}: {_ends(lines)}.'
                    for title, lines in panels.items())
    return Picture(name, png(figure), alt, caption)


def bars(name: str, caption: str, rows: Dict[str, List[float]],
         columns: Dict[str, str], xlabel: str) -> Picture:
    """Draw horizontal bars, one group per row.

    Args:
        name: Of the file, without its suffix.
        caption: What the figure shows.
        rows: The values of a row, one per column; NaN is left out.
        columns: Colours by the names of the columns.
        xlabel: Of the values.
    """
    figure = Figure((WIDTH, 0.8 + 0.2 * len(rows) * (1 + len(columns) / 2)
                     + legend_height(list(columns))), layout='constrained')
    axis = figure.add_subplot()
    height = 0.8 / len(columns)
    handles = {}
    for i, (column, color) in enumerate(columns.items()):
        places = [row + (i - (len(columns) - 1) / 2) * height
                  for row in range(len(rows))]
        handles[column] = axis.barh(
            places, [values[i] for values in rows.values()], height,
            color=color)
    axis.axvline(0, color='black', linewidth=0.8)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    axis.grid(alpha=0.3, axis='x')
    add_legend(figure, handles)
    alt = f'Bar chart of {xlabel}. ' + ' '.join(
        f'{row}: ' + ', '.join(f'{column} {value:.1f}' for column, value in
                               zip(columns, values)) + '.'
        for row, values in rows.items())
    return Picture(name, png(figure), alt, caption)


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=_DPI,
                   metadata={'Software': MAKER})
    return file.getvalue()


def _draw(axis: Axes, lines: Sequence[Line], values: Sequence[float],
          thin: bool = False) -> Dict[str, object]:
    handles = {}
    for line in lines:
        few = len(line.xs) <= _MARKED
        handles[line.label], = axis.plot(
            line.xs, line.ys, color=line.color, label=line.label,
            linestyle='--' if line.dashed else line.style,
            linewidth=1.0 if thin else 1.6,
            marker='o' if few and not line.dashed else None,
            markersize=2.5 if thin else 4)
    axis.grid(alpha=0.3)
    # Iterations and epochs.
    axis.xaxis.set_major_locator(
        MaxNLocator(4 if thin else 6, integer=True, min_n_ticks=1))
    scale(axis, values, 5 if thin else 9)
    return handles


def _named(lines: Sequence[Line]) -> List[str]:
    """Name the solid lines; a dashed one has the colour of its solid one."""
    solid = {line.color for line in lines if not line.dashed}
    return [line.label for line in lines
            if not line.dashed or line.color not in solid]


def _told(ylabel: str, xlabel: str, lines: Sequence[Line]) -> str:
    return f'Line chart of {ylabel} by {xlabel}. {_ends(lines)}.'


def _ends(lines: Sequence[Line]) -> str:
    """Tell where the lines begin and end."""
    told = []
    for line in lines:
        ys = [y for y in line.ys if math.isfinite(y)]
        told.append(f'{line.label} from {ys[0]:.3g} to {ys[-1]:.3g}')
    return '; '.join(told)
