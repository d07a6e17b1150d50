"""Tables of test accuracies, and what chose them."""
from typing import Dict, List, Sequence

from ..bench_steps.arms import Arm
from ..bench_steps.benchmark import Outcome
from ..bench_steps.report import difference, markdown, test_by_seed
from ..bench_steps.statistic import estimate, paired
from .streams import Choice


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
    """Say what was chosen, in the words of the log.

    Args:
        choices: By title, one per run.
    """
    lines = []
    for title, made in choices.items():
        counts: Dict[str, int] = {}
        for choice in made:
            counts[choice.reason] = counts.get(choice.reason, 0) + 1
        lines += [f'`{title}`, {count} of {len(made)} runs: "{reason}"'
                  for reason, count in counts.items()]
    return lines


def best(arms: Sequence[Arm], outcome: Outcome) -> Arm:
    """Return the arm of the best mean test accuracy."""
    return max(arms, key=lambda arm: estimate(
        list(test_by_seed(outcome, arm.name).values())).mean)
