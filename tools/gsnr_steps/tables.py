"""Lays out what was measured about the streams."""
from typing import List, Sequence

from ..bench_steps.curves import Runs, averages, spread
from ..bench_steps.layout import markdown
from .streams import (
    CLAIM,
    STREAMS,
    Order,
    Watched,
    order,
    parts,
    thirds,
)

_THIRDS = ('first', 'second', 'last')


def ratio_table(watched: Sequence[Watched]) -> str:
    """Return each stream's GSNR, and how often the claimed order held."""
    header = ['', *STREAMS, *(f'{a} > {b}' for a, b in CLAIM), 'both',
              'in the averages of']
    rows = []
    for title, runs in watched:
        orders = [order(runs, pair) for pair in CLAIM] + [order(runs, *CLAIM)]
        whole = orders[-1]
        rows.append([
            title, *(spread(averages(runs, f'gsnr/{stream}'))
                     for stream in STREAMS), *map(share, orders),
            f'{whole.runs_held} of {whole.runs} runs'])
    return markdown(header, rows)


def thirds_table(watched: Sequence[Watched]) -> str:
    """Return each stream's GSNR by the thirds of the training."""
    rows = []
    for title, runs in watched:
        for name, third in zip(_THIRDS, thirds(runs)):
            rows.append([
                title, name, *(spread(averages(third, f'gsnr/{stream}'))
                               for stream in STREAMS),
                share(order(third, *CLAIM))])
    return markdown(['', 'third', *STREAMS, 'order as claimed'], rows)


def part_table(runs: Runs) -> str:
    """Return the GSNR by part, the largest of every stream in bold."""
    names = parts(runs)
    columns = []
    for stream in STREAMS:
        found = [averages(runs, f'gsnr/{stream}/{part}') for part in names]
        best = max((value.mean for value in found if value is not None),
                   default=None)
        columns.append([
            f'**{spread(value)}**' if value and value.mean == best else
            spread(value) for value in found])
    return markdown(['Part', *STREAMS], [
        [f'`{name}`', *cells] for name, *cells in zip(names, *columns)])


def norm_table(watched: Sequence[Watched]) -> str:
    """Return gradient norms, their ratios and cosines."""
    keys = {'norm, task': 'grad_norm/task',
            'target / task': 'grad_ratio/target',
            'non_target / task': 'grad_ratio/non_target',
            'cosine task, target': 'grad_cosine/task-target',
            'cosine task, non_target': 'grad_cosine/task-non_target',
            'cosine target, non_target': 'grad_cosine/target-non_target'}
    return markdown(['', *keys], [
        [title, *(spread(averages(runs, key)) for key in keys.values())]
        for title, runs in watched])


def momentum_table(runs: Runs) -> str:
    """Return the momenta at the beginning, in the middle and at the end."""
    iterations = sorted({int(report['iter'])
                         for some in runs.values() for report in some})
    # The momenta in the first window are still those of the config.
    shown = sorted({iterations[0], iterations[len(iterations) // 2],
                    iterations[-1]})
    rows: List[List[str]] = []
    for at in shown:
        here: Runs = {seed: [report for report in some
                             if report['iter'] == at]
                      for seed, some in runs.items()}
        rows.append([str(at), *(spread(averages(here, f'momentum/{stream}'))
                                for stream in STREAMS)])
    return markdown(['window ending at iteration', *STREAMS], rows)


def verdict(watched: Watched) -> str:
    """Say in a sentence how far the claimed order was found."""
    runs = watched.runs
    both = order(runs, *CLAIM)
    ranks = sorted(STREAMS, key=lambda stream: -_level(runs, stream))
    found = [f'{a} above {b} in {order(runs, (a, b)).held}' for a, b in CLAIM]
    return (f'{watched.title}: on average {" > ".join(ranks)}; of '
            f'{both.reports} reports {", ".join(found)}, both in '
            f'{both.held}.')


def share(found: Order) -> str:
    """Return the share of reports in per cent."""
    if not found.reports:
        return '-'
    return f'{100 * found.held / found.reports:.0f} %'


def _level(runs: Runs, stream: str) -> float:
    found = averages(runs, f'gsnr/{stream}')
    return float('-inf') if found is None else found.mean
