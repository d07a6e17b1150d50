"""What the hooks chose, and what that says."""
from math import ceil
from typing import Dict, List, Sequence

from ..bench_steps.arms import Arm
from ..bench_steps.benchmark import Outcome
from ..bench_steps.comparing import test_by_seed
from ..bench_steps.runs import Run, resolve
from ..bench_steps.statistic import estimate
from .plan import OTHERS, share_of
from .streams import Choice

# Of all classes: how near K is to that of a flat teacher, not to differ.
_NEAR = 0.03


def choice_lines(choices: Dict[str, Sequence[Choice]]) -> List[str]:
    """Say what was chosen, and why in the words of the first run's log.

    Args:
        choices: By title, one per run.
    """
    lines = []
    for title, made in choices.items():
        counts: Dict[int, int] = {}
        for choice in sorted(made):
            counts[choice.k] = counts.get(choice.k, 0) + 1
        found = ', '.join(f'K = {k} in {count}'
                          for k, count in counts.items())
        lines.append(f'`{title}`: {found} of {len(made)} runs. The log of '
                     f'the first: "{made[0].reason}"')
    return lines


def best(arms: Sequence[Arm], outcome: Outcome) -> Arm:
    """Return the arm of the best mean test accuracy."""
    return max(arms, key=lambda arm: estimate(
        list(test_by_seed(outcome, arm.name).values())).mean)


def flat_choice(auto: Sequence[Arm],
                choices: Dict[str, Sequence[Choice]]) -> str:
    """Say what a flat teacher would get, and whether this one differs."""
    temperature = resolve(Run(auto[0].config, 0)).model.losses.temperature
    shares = sorted({share_of(arm) for arm in auto}, reverse=True)
    flat = ' and '.join(f'K = {ceil(share * OTHERS)} for share={share:g}'
                        for share in shares)
    said = (f'At the temperature of the loss, {temperature:g}, a teacher '
            f'that is flat over all {OTHERS} non-target classes gets {flat}.')
    apart = max((abs(choice.k - ceil(share_of(arm) * OTHERS))
                 for arm in auto for choice in choices[arm.title]), default=0)
    if apart > _NEAR * OTHERS:
        return said
    return (f'{said} This one is nearly flat: an automated K mostly restates '
            '`share`, and says little about the teacher.')
