"""Times of several functions, taken in turn on one machine."""
import time
from statistics import median, quantiles
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence

import torch

Function = Callable[[], Any]
Say = Callable[[str], None]


class Spread(NamedTuple):
    """The median of some values, and their quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = quantiles(values, n=4, method='inclusive')
    return Spread(middle, low, high)


def ratios(times: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the ratio of two functions, taken round by round."""
    return spread([a / b for a, b in zip(times, others)])


class Clock:
    """Measures seconds until the device is done.

    Args:
        device: ``'cpu'``, or a GPU, which is waited for before and after.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._last = 0.0

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    def now(self) -> float:
        """Return the time, in seconds, at which all work is done."""
        self.wait()
        return time.perf_counter()

    def __call__(self, function: Function) -> float:
        """Return how long a function takes."""
        start = self.now()
        function()
        return self.now() - start


class Laps(Clock):
    """Measures the parts of a step: each since the one before.

    Attributes:
        times: Seconds of each part, step by step.
    """

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.times: Dict[str, List[float]] = {}

    def start(self) -> None:
        """Begin a step."""
        self._last = self.now()

    def __call__(self, name: str) -> None:
        """End a part."""
        now = self.now()
        self.add(name, now - self._last)
        self._last = now

    def add(self, name: str, seconds: float) -> None:
        """Add the time of a part that was measured otherwise."""
        self.times.setdefault(name, []).append(seconds)

    def medians(self) -> Dict[str, float]:
        """Return the median of each part, in seconds."""
        return {name: median(times) for name, times in self.times.items()}


def no_lap(name: str) -> None:
    """Stand in for :class:`Laps` where a step is timed as a whole."""


def interleaved(arms: Mapping[str, Function], rounds: int, device: str,
                say: Say, warm_up: int = 2,
                repeats: int = 1) -> Dict[str, List[float]]:
    """Time functions in turn; every other round in reverse.

    What disturbs the machine for a while meets all of them, so that their
    ratios within a round say more than their times.

    Args:
        arms: The functions by name.
        rounds: How often each is timed.
        device: ``'cpu'`` or a GPU.
        say: Receives the progress.
        warm_up: Calls of each before the first round.
        repeats: Calls within a round; their mean is the time.

    Returns:
        Seconds of one call, by name and round.
    """
    clock = Clock(device)
    for name, function in arms.items():
        start = clock.now()
        for _ in range(warm_up):
            function()
        say(f'  warm-up: {name}, {clock.now() - start:.1f} s')
    times: Dict[str, List[float]] = {name: [] for name in arms}
    order = list(arms)
    for number in range(rounds):
        for name in order if number % 2 == 0 else order[::-1]:
            times[name].append(
                clock(lambda n=name: _repeat(arms[n], repeats)) / repeats)
        took = ', '.join(f'{name} {1e3 * times[name][-1]:.4g}'
                         for name in arms)
        say(f'  round {number + 1}/{rounds} (ms): {took}')
    return times


def _repeat(function: Function, repeats: int) -> None:
    for _ in range(repeats):
        function()


def repeats_for(function: Function, device: str, seconds: float) -> int:
    """Return how many calls take about so many seconds, at least 1."""
    clock = Clock(device)
    function()
    return max(1, round(seconds / max(clock(function), 1e-6)))
