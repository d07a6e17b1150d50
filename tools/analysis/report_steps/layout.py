"""What a page is made of, and what its sections share."""
from typing import Dict, List, NamedTuple, Optional, Sequence

from .charts import Line, Picture
from .colors import run_colors, stream_colors, style_of
from .curves import Curve, streams_of
from .runs import Run

ITERATION = 'iteration'


class Table(NamedTuple):
    """A table; its first column names the rows."""

    caption: str
    head: List[str]
    rows: List[List[str]]


class Section(NamedTuple):
    """A part of the page."""

    name: str
    title: str
    text: List[str]
    figures: List[Picture]
    tables: List[Table]


class Colors(NamedTuple):
    """Of all streams and runs."""

    streams: Dict[str, str]
    runs: Dict[str, str]


def choose_colors(runs: Sequence[Run]) -> Colors:
    """Return the colours that all figures of some runs share."""
    return Colors(stream_colors(streams_of(runs)),
                  run_colors([run.name for run in runs]))


def lines_of(found: Dict[str, Optional[Curve]],
             colors: Dict[str, str]) -> List[Line]:
    """Return a line per curve that is there."""
    return [Line(name, each.xs, each.ys, colors[name],
                 style=style_of(name, colors))
            for name, each in found.items() if each is not None]


def section(name: str, title: str, figures: List[Picture],
            otherwise: str) -> Section:
    """Return a section of figures, or of a sentence where there are none."""
    return Section(name, title, [] if figures else [otherwise], figures, [])
