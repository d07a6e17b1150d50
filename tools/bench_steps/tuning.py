"""Chooses the learning rate of a method on the validation split."""
from statistics import mean
from typing import Dict, List, Optional, Sequence

# Validation accuracies by learning rate, one per tuning seed.
Tries = Dict[float, List[float]]


def best_rate(tries: Tries) -> float:
    """Return the rate of the best mean accuracy, the smaller one of equals."""
    return max(sorted(tries), key=lambda rate: mean(tries[rate]))


def extension(tries: Tries, rates: Sequence[float],
              max_extensions: int) -> Optional[float]:
    """Return the rate to try next because the best one is on the edge.

    The grid grows by the factor between its neighbours.

    Args:
        tries: What has been tried; at least two rates.
        rates: The grid that every method starts with.
        max_extensions: How many rates may be added to it.

    Returns:
        The next rate, or None when the best is inside the grid or the grid
        has been extended often enough.
    """
    known = sorted(tries)
    if len(known) - len(rates) >= max_extensions:
        return None
    best = best_rate(tries)
    if best == known[0]:
        return _rounded(known[0] * known[0] / known[1])
    if best == known[-1]:
        return _rounded(known[-1] * known[-1] / known[-2])
    return None


def on_edge(tries: Tries) -> bool:
    """Say whether the best rate is the smallest or the largest one tried."""
    return best_rate(tries) in (min(tries), max(tries))


def _rounded(rate: float) -> float:
    # 0.05 and not 0.05000000000000001, which would be another run.
    return float(f'{rate:.6g}')
