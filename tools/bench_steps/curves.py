"""Sums up over seeds what was logged over the iterations."""
from math import floor, log10
from statistics import mean
from typing import Dict, List, NamedTuple, Optional

from .statistic import Estimate, estimate

Reports = List[Dict[str, float]]
#: Reports by seed.
Runs = Dict[int, Reports]


class Curve(NamedTuple):
    """A quantity over the training: mean and deviation over seeds."""

    iterations: List[int]
    mean: List[float]
    sd: List[float]


def curve(runs: Runs, key: str) -> Curve:
    """Return what a key was over the iterations."""
    points: Dict[int, List[float]] = {}
    for reports in runs.values():
        for report in reports:
            if key in report:
                points.setdefault(int(report['iter']), []).append(report[key])
    found = {i: estimate(points[i]) for i in sorted(points)}
    return Curve(list(found), [point.mean for point in found.values()],
                 [point.sd for point in found.values()])


def average(reports: Reports, key: str) -> Optional[float]:
    """Return the mean of the reports that have a key."""
    values = [report[key] for report in reports if key in report]
    return mean(values) if values else None


def averages(runs: Runs, key: str) -> Optional[Estimate]:
    """Return the average over the training: mean and deviation of runs."""
    values = [average(reports, key) for reports in runs.values()]
    known = [value for value in values if value is not None]
    return estimate(known) if known else None


def spread(found: Optional[Estimate]) -> str:
    """Return a mean and its deviation, of one value only the mean."""
    if found is None:
        return '-'
    if not found.sd > 0:
        return f'{found.mean:.3g}'
    # Two digits of the deviation, and the mean as far as these.
    decimals = max(0, 1 - floor(log10(found.sd)))
    return f'{found.mean:.{decimals}f} ± {found.sd:.{decimals}f}'
