"""Reads what the runs logged about DiffKD."""
import re
from pathlib import Path
from typing import List, NamedTuple

from ..bench_steps.curves import Reports, Runs
from ..demo_steps.metrics import read_history

_GAMMA = re.compile(r'diffkd\w*_gamma')
_LOSS = re.compile(r'feature\.loss_')


class Logged(NamedTuple):
    """The logged lines of a setting, by seed."""

    title: str
    runs: Runs


def read_lines(work_dir: Path) -> Reports:
    """Read the logged lines of the newest training in a work directory."""
    return [dict(values, iter=step)
            for step, values in read_history(work_dir).train]


def gammas(runs: Runs) -> List[str]:
    """Return the names under which the adapters' gammas are logged."""
    return _matching(runs, _GAMMA)


def losses(runs: Runs) -> List[str]:
    """Return the names under which DiffKD's losses are logged."""
    return _matching(runs, _LOSS)


def iterations(runs: Runs) -> List[int]:
    """Return where all runs logged, at the beginning, middle and end."""
    logged = sorted({int(line['iter']) for lines in runs.values()
                     for line in lines})
    if not logged:
        return []
    return [logged[0], logged[len(logged) // 2], logged[-1]]


def at(runs: Runs, iteration: int) -> Runs:
    """Return the lines of one iteration."""
    return {seed: [line for line in lines if line['iter'] == iteration]
            for seed, lines in runs.items()}


def _matching(runs: Runs, pattern: 're.Pattern[str]') -> List[str]:
    names = {name for lines in runs.values() for line in lines
             for name in line if pattern.match(name)}
    return sorted(names)
