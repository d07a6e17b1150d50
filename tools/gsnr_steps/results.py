"""Tables of test accuracies, and what chose them."""
from math import ceil
from typing import Dict, List, Sequence

from ..bench_steps.arms import Arm
from ..bench_steps.benchmark import Outcome
from ..bench_steps.report import difference, markdown, test_by_seed
from ..bench_steps.runs import Run, resolve
from ..bench_steps.statistic import estimate, paired
from .plan import OTHERS, share_of
from .streams import Choice

# Of all classes: how near K is to that of a flat teacher, not to differ.
_NEAR = 0.03


def accuracy_table(arms: Sequence[Arm], outcome: Outcome,
                   references: Sequence[Arm]) -> str:
    """Return the arms' test accuracies and differences, seed by seed."""
    count = len(next(iter(outcome.final.values())))
    header = ['Method', 'lr', f'test, mean ± sd ({count} seeds)',
              *(f'minus {arm.title}, ± s.e.' for arm in references)]
    rows: List[List[str]] = []
    for arm in arms:
        test = test_by_seed(outcome, arm.name)
        found = estimate(list(test.values()))
        rows.append([
            arm.title, f'{outcome.rates[arm.name]:g}',
            f'{found.mean:.2f} ± {found.sd:.2f}',
            *(difference(None if arm is other else paired(
                test, test_by_seed(outcome, other.name)))
              for other in references)])
    return markdown(header, rows)


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


def comparison(outcome: Outcome, one: Arm, other: Arm) -> str:
    """Say how far apart two arms are, and whether that is much."""
    found = paired(test_by_seed(outcome, one.name),
                   test_by_seed(outcome, other.name))
    apart = abs(found.mean) > 2 * found.error
    return (f'{one.title} minus {other.title}: {found.mean:+.2f} ± '
            f'{found.error:.2f}, {"more" if apart else "not more"} than twice '
            'its standard error.')
