"""How far a long measurement is, and how long it will take."""
import time
from typing import Callable

_SECONDS = 10.0


class Progress:
    """Says every few seconds how much is done and how much time is left.

    Args:
        total: Number of points.
        say: Gets each line.
        clock: Returns the time in seconds.
    """

    def __init__(self,
                 total: int,
                 say: Callable[[str], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.points = total, 0
        self.label = ''
        self._say, self._clock = say, clock
        self._start = self._said = clock()

    def __call__(self) -> None:
        """Count one more point."""
        self.points += 1
        now = self._clock()
        if now - self._said < _SECONDS and self.points < self.total:
            return
        self._said = now
        passed = now - self._start
        left = passed / self.points * (self.total - self.points)
        self._say(f'{self.label}: {self.points} of {self.total} points, '
                  f'{_minutes(passed)} passed, {_minutes(left)} left')


def _minutes(seconds: float) -> str:
    return f'{int(seconds) // 60} min {int(seconds) % 60:02d} s'
