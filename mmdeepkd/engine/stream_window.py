"""The consecutive updates in which gradient streams are measured."""
from typing import NamedTuple

from mmdeepkd.functional.gsnr import FEWEST_SAMPLES


class Window(NamedTuple):
    """When one begins, and for how long it lasts.

    ``counts`` is everywhere the number of iterations that an update
    accumulates.

    Attributes:
        interval: Iterations from the begin of a window to the next.
        samples: Updates in a window.
    """

    interval: int
    samples: int

    def begins(self, iteration: int, inside: int, counts: int) -> bool:
        """Whether it begins with an iteration: the first update that is due.

        Args:
            iteration: Number of the iteration, from 0.
            inside: Iterations of its update that came before.
            counts: Iterations per update.
        """
        return inside == 0 and iteration % self.interval < counts

    def longest(self, counts: int) -> int:
        """Return how many iterations after it is due it may end.

        Args:
            counts: Iterations per update.
        """
        # It may be due in an update that has begun.
        wait = counts - 1 if self.interval % counts else 0
        return self.samples * counts + wait

    def check(self, owner: str) -> None:
        """Raise unless the numbers have a meaning.

        Args:
            owner: Whose they are, for the message.

        Raises:
            TypeError: One is no int.
            ValueError: One is too small.
        """
        for name, value in self._asdict().items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f'{owner} needs an int for {name}, got '
                                f'{value!r}: it is a count.')
        if self.samples < FEWEST_SAMPLES:
            raise ValueError(
                f'{owner} has samples={self.samples} but needs at least '
                f'{FEWEST_SAMPLES}: with fewer the estimate has no '
                'expectation.')
        self.check_room(owner, 1)

    def check_room(self, owner: str, counts: int) -> None:
        """Raise unless it may end before the next one is due.

        Args:
            owner: Whose it is, for the message.
            counts: Iterations per update.

        Raises:
            ValueError: It may not.
        """
        if self.interval >= self.longest(counts):
            return
        least = self.samples * counts
        advice = f'interval >= {least}' if counts == 1 else (
            f'interval to a multiple of {counts} from {least} on, or to '
            f'{least + counts - 1} or more')
        raise ValueError(
            f'{owner} has interval={self.interval}, in which {self.samples} '
            f'updates of {counts} iteration(s) have no room: set {advice}, '
            'or fewer samples.')
