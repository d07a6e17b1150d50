"""Compares arms seed by seed."""
from typing import Dict, List, Sequence

from .arms import Arm
from .benchmark import Outcome
from .layout import difference, markdown
from .statistic import estimate, paired


def test_by_seed(outcome: Outcome, name: str) -> Dict[int, float]:
    """Return an arm's test accuracies."""
    return {seed: result.test
            for seed, result in outcome.final[name].items()}


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


def comparison(outcome: Outcome, one: Arm, other: Arm) -> str:
    """Say how far apart two arms are, and whether that is much."""
    found = paired(test_by_seed(outcome, one.name),
                   test_by_seed(outcome, other.name))
    apart = abs(found.mean) > 2 * found.error
    return (f'{one.title} minus {other.title}: {found.mean:+.2f} ± '
            f'{found.error:.2f}, {"more" if apart else "not more"} than twice '
            'its standard error.')
