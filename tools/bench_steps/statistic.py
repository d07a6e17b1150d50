"""Means over seeds, and differences paired by seed."""
from math import sqrt
from statistics import mean, stdev
from typing import Dict, NamedTuple, Sequence


class Estimate(NamedTuple):
    """A mean, what it varies by, and the number of values.

    Attributes:
        mean: The mean.
        sd: The standard deviation of the values; nan for one value.
        count: How many values.
    """

    mean: float
    sd: float
    count: int

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.sd / sqrt(self.count)


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and standard deviation (n - 1) of at least one value."""
    sd = stdev(values) if len(values) > 1 else float('nan')
    return Estimate(mean(values), sd, len(values))


def paired(values: Dict[int, float], others: Dict[int, float]) -> Estimate:
    """Return the difference of two methods, seed by seed.

    Args:
        values: Accuracy by seed.
        others: What is subtracted; of the same seeds.

    Raises:
        ValueError: The seeds differ.
    """
    if values.keys() != others.keys():
        raise ValueError(f'seeds {sorted(values)} and {sorted(others)} cannot '
                         'be paired: train both methods with the same seeds.')
    return estimate([values[seed] - others[seed] for seed in sorted(values)])
