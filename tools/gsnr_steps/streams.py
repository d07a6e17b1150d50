"""Reads what the hooks wrote about the streams, and sums it up."""
import json
import re
from pathlib import Path
from statistics import mean
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ..bench_steps.curves import Reports, Runs

STREAMS = ('task', 'target', 'non_target')
# What DeepKD claims: (stream, stream of a smaller GSNR).
CLAIM = (('task', 'target'), ('non_target', 'target'))

_CHOICE = re.compile(r'Dynamic top-K: (static K (\d+) .*)')


class Watched(NamedTuple):
    """A setting whose gradients were measured."""

    title: str
    runs: Runs


class Order(NamedTuple):
    """How often streams were in an order.

    Attributes:
        held: Reports in which they were.
        reports: All reports.
        runs_held: Runs in which the averages over the training were.
        runs: All runs.
    """

    held: int
    reports: int
    runs_held: int
    runs: int


class Choice(NamedTuple):
    """The static K that a run chose, and the log's line about it."""

    k: int
    reason: str


def read_reports(work_dir: Path) -> Reports:
    """Read the reports of the newest run in a work directory.

    Raises:
        FileNotFoundError: There is none.
    """
    files = sorted(work_dir.glob('*/streams.jsonl'))
    if not files:
        raise FileNotFoundError(
            f'{work_dir} holds no */streams.jsonl; the run needs GSNRHook and '
            'more iterations than a window has updates.')
    return [json.loads(line) for line in files[-1].read_text().splitlines()]


def read_choice(work_dir: Path) -> Choice:
    """Read the static K and its reason from the newest log.

    Raises:
        ValueError: No log says it.
    """
    for file in sorted(work_dir.glob('*/*.log'))[::-1]:
        found = _CHOICE.search(file.read_text(encoding='utf-8'))
        if found:
            return Choice(int(found[2]), found[1])
    raise ValueError(f'no log in {work_dir} names the static K; the run needs '
                     'DynamicTopKHook.')


def order(runs: Runs, *pairs: Tuple[str, str]) -> Order:
    """Count where the first stream of every pair has the larger GSNR."""
    keys = {f'gsnr/{stream}' for pair in pairs for stream in pair}
    # Without a stream whose gradients did not vary there is no order.
    runs = {seed: [report for report in some if keys <= set(report)]
            for seed, some in runs.items()}
    means = [{key: mean(report[key] for report in some) for key in keys}
             for some in runs.values() if some]
    reports = [report for some in runs.values() for report in some]
    return Order(_holds(reports, pairs), len(reports), _holds(means, pairs),
                 len(means))


def thirds(runs: Runs) -> List[Runs]:
    """Split every run into the thirds of its iterations."""
    last = max(report['iter'] for some in runs.values() for report in some)
    return [{
        seed: [report for report in some
               if i < 3 * report['iter'] / last <= i + 1]
        for seed, some in runs.items()
    } for i in range(3)]


def parts(runs: Runs) -> List[str]:
    """Return the names of the parts, in the order of the reports."""
    names: Dict[str, None] = {}
    for some in runs.values():
        for key in [key for report in some for key in report]:
            kind, _, rest = key.partition('/')
            stream, _, part = rest.partition('/')
            if kind == 'gsnr' and stream in STREAMS and part:
                names[part] = None
    return list(names)


def _holds(values: Sequence[Dict[str, float]],
           pairs: Sequence[Tuple[str, str]]) -> int:
    return sum(all(some[f'gsnr/{a}'] > some[f'gsnr/{b}'] for a, b in pairs)
               for some in values)
