"""One colour per stream and one per run, on all figures.

Both palettes were made to be told apart by colour-blind readers: Okabe and
Ito (2008) for the streams, Tol's "muted" for the runs.
"""
from typing import Dict, Sequence

_STREAMS = {
    'task': '#0072B2',
    'target': '#D55E00',
    'non_target': '#009E73',
    'distill': '#CC79A7',
    'feature': '#E69F00',
    'plain': '#56B4E9',
}
_OTHERS = ('#332288', '#999933', '#882255', '#000000', '#888888')
_RUNS = ('#332288', '#CC6677', '#117733', '#88CCEE', '#AA4499', '#999933',
         '#44AA99', '#882255', '#661100', '#6699CC')
# Not dashed: what is smoothed is.
_STYLES = ('-', ':', '-.')
#: For lines that neither a stream nor a run names, such as pairs of streams.
PAIRS = ('#332288', '#CC6677', '#117733', '#AA4499', '#999933', '#44AA99')


def stream_colors(streams: Sequence[str]) -> Dict[str, str]:
    """Return a colour per stream; those of the papers always have theirs.

    Args:
        streams: All streams of the report.
    """
    others = [name for name in streams if name not in _STREAMS]
    return {**_STREAMS, **cycled(others, _OTHERS)}


def run_colors(runs: Sequence[str]) -> Dict[str, str]:
    """Return a colour per run."""
    return cycled(runs, _RUNS)


def cycled(names: Sequence[str], colors: Sequence[str]) -> Dict[str, str]:
    """Give names colours in turn."""
    return {name: colors[i % len(colors)] for i, name in enumerate(names)}


def style_of(name: str, colors: Dict[str, str]) -> str:
    """Return a line style that no other name of the same colour has.

    Args:
        name: One of the names.
        colors: Of all names.
    """
    alike = [other for other in colors if colors[other] == colors[name]]
    return _STYLES[alike.index(name) % len(_STYLES)]
