"""Lays out what DiffKD logged over the training."""
from typing import Callable, List, Sequence

from ..bench_steps.curves import Runs, averages, spread
from ..bench_steps.layout import markdown
from .logged import Logged, at, gammas, iterations

# A gamma of 1 leaves no noise in the student's features. The release's users
# found it there.
NEAR_ONE = 0.95


def over_time(logged: Sequence[Logged],
              names: Callable[[Runs], List[str]]) -> str:
    """Return values at the beginning, in the middle and at the end.

    Args:
        logged: The settings.
        names: Chooses what is shown of a setting.
    """
    rows = []
    for title, runs in logged:
        for name in names(runs):
            rows.append([title, f'`{name}`', *(
                spread(averages(at(runs, iteration), name))
                for iteration in iterations(runs))])
    return markdown(['', 'logged as', 'first', 'middle', 'last'], rows)


def gamma_verdict(logged: Logged) -> str:
    """Say in a sentence where the gammas of a setting went."""
    title, runs = logged
    shown = iterations(runs)
    said = []
    near = []
    for name in gammas(runs):
        first, last = (averages(at(runs, iteration), name)
                       for iteration in (shown[0], shown[-1]))
        if first is None or last is None:
            continue
        said.append(f'`{name}` {first.mean:.2f} to {last.mean:.2f}')
        if last.mean > NEAR_ONE:
            near.append(f'`{name}`')
    if not said:
        return f'{title}: no gamma was logged.'
    ends = (f'above {NEAR_ONE} at the end: {", ".join(near)}' if near else
            f'none ends above {NEAR_ONE}')
    return f'{title}: {", ".join(said)}; {ends}.'
