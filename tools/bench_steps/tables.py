"""Tables that the benchmarks' pages share: rates, ablations, arms."""
from statistics import mean
from textwrap import fill
from typing import Any, List, Optional, Sequence

from .arms import Arm, Plan
from .benchmark import Outcome
from .layout import markdown, words
from .statistic import estimate
from .tuning import on_edge


def rate_table(plan: Plan, outcome: Outcome,
               what: str = 'Validation accuracy') -> str:
    """Return what every method reached at every rate, with a note.

    Args:
        plan: What was tried.
        outcome: What came out.
        what: What was measured, the first words.
    """
    rates = sorted({rate for tries in outcome.tries.values()
                    for rate in tries})
    rows, edges = [], []
    for arm in plan.arms:
        if arm.rate_of:
            continue
        tries = outcome.tries[arm.name]
        chosen = outcome.rates[arm.name]
        rows.append([arm.title, *(
            _try(tries.get(rate), rate == chosen) for rate in rates)])
        if on_edge(tries):
            edges.append(arm.title)
    note = ('Every best rate is inside its grid.' if not edges else
            f'Best at the edge of what was tried: {", ".join(edges)}.')
    seeds = ', '.join(str(seed) for seed in plan.tuning_seeds)
    text = fill(f'{what}, mean of the seeds {seeds}; the chosen rate in bold. '
                f'{note}', 79)
    return (f'{text}\n\n' +
            markdown(['Method', *(f'{rate:g}' for rate in rates)], rows))


def tested_rates_table(plan: Plan, outcome: Outcome) -> str:
    """Return the test results at every rate of the grid, mean and deviation.

    Args:
        plan: Of ``all_rates``.
        outcome: What came out.
    """
    rows = []
    for arm in plan.arms:
        found = {rate: estimate(tests) for rate, tests
                 in outcome.at_rates[arm.name].items()}
        texts = {rate: f'{some.mean:.1f} ± {some.sd:.1f}'
                 for rate, some in found.items()}
        rows.append([arm.title, *(
            f'**{text}**' if rate == outcome.rates[arm.name] else text
            for rate, text in texts.items())])
    return markdown(['Method', *(f'lr {rate:g}' for rate in plan.rates)],
                    rows)


def _try(values: Optional[List[float]], chosen: bool) -> str:
    if values is None:
        return ''
    text = f'{mean(values):.1f}'
    return f'**{text}**' if chosen else text


def ablation_table(outcome: Outcome) -> str:
    """Return the test accuracies of every setting."""
    rows = []
    for setting in outcome.ablations:
        found = estimate(list(setting.test.values()))
        rows.append([setting.title, setting.label,
                     f'{found.mean:.2f} ± {found.sd:.2f}'])
    return markdown(['Setting', 'value', 'test, mean ± sd'], rows)


def arm_table(arms: Sequence[Arm], teacher: str) -> str:
    """Return every method's config and overrides, with the command."""
    rows = [[arm.title, f'`{arm.config}`', '<br>'.join(
        f'`{_override(key, value)}`' for key, value in arm.options)]
        for arm in arms]
    text = words(
        'Any run is `OMP_NUM_THREADS=1 python tools/train.py CONFIG '
        '--cfg-options '
        'optim_wrapper.optimizer.lr=LR randomness.seed=SEED` with the '
        'overrides below and, of a student with a teacher, '
        f'`model.teacher_checkpoint={teacher}`.')
    return f'{text}\n\n' + markdown(['Method', 'config', 'overrides'], rows)


def _override(key: str, value: Any) -> str:
    # As a shell and MMEngine's DictAction take it.
    if isinstance(value, tuple):
        value = '"(' + ','.join(map(str, value)) + ')"'
    return f'{key}={value}'
