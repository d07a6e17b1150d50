"""Lays the benchmark's results out as a page."""
from textwrap import fill
from typing import List, NamedTuple

from .arms import Plan
from .benchmark import Outcome
from .comparing import accuracy_table
from .layout import bullets
from .tables import ablation_table, arm_table, rate_table

# What every method is compared with, by name of the arm.
REFERENCES = ('alone', 'kd', 'dkd')


class Facts(NamedTuple):
    """What the page says about how the numbers came about.

    Attributes:
        command: The command that wrote the page.
        minutes: Wall time of that command.
        trained: Runs that it trained itself.
        runs: Runs in all.
        run_minutes: Their wall time, one after the other.
        teacher: The teacher's checkpoint, relative to the repository.
        task: The nets and their training.
        machine: Processor and cores.
        versions: Versions of the packages.
        commit: The repository's commit, and whether files had changed.
        date: Day of the measurement.
    """

    command: str
    minutes: float
    trained: int
    runs: int
    run_minutes: float
    teacher: str
    task: str
    machine: str
    versions: str
    commit: str
    date: str


def page(plan: Plan, outcome: Outcome, facts: Facts, picture: str) -> str:
    """Return the page in Markdown.

    Args:
        plan: What was trained.
        outcome: What was measured.
        facts: How.
        picture: Path of the plot, relative to the page.
    """
    titles = {arm.name: arm.title for arm in plan.arms}
    parts = [
        _head(plan, outcome, facts), f'![Test accuracies]({picture})',
        '## Test accuracy', _results(plan, outcome),
        '## Learning rates', rate_table(plan, outcome),
        '## Ablations', _ablations(outcome, titles[plan.ablated]),
        '## The arms', arm_table(plan.arms, facts.teacher),
        '## Read with care', _caveats(plan)
    ]
    return '\n\n'.join(parts) + '\n'


def _head(plan: Plan, outcome: Outcome, facts: Facts) -> str:
    return '\n\n'.join([
        '# Digits-100: every method at its own learning rate',
        fill("Two of scikit-learn's real 8x8 digits side by side with noise, "
             '100 classes: 2000 training, 2000 validation and 4000 test '
             'pairs, made from disjoint digits. This page is written by the '
             'command below; numbers are top-1 accuracies in per cent.', 79),
        bullets(fact_lines(plan, outcome, facts))
    ])


def fact_lines(plan: Plan, outcome: Outcome, facts: Facts) -> List[str]:
    """Say how the numbers came about, a point a line."""
    return [
        *how_lines(facts),
        facts.task,
        f'Teacher: validation {outcome.teacher.val:.1f}, test '
        f'{outcome.teacher.test:.1f}; one training, the same for all '
        'students.',
        f'Learning rates: every method was tried at the same '
        f'{len(plan.rates)} rates with {len(plan.tuning_seeds)} seeds on '
        'the validation pairs; where the best was on the edge of the '
        'grid, the grid was extended by the same factor, at most '
        f'{plan.max_extensions} times. A training whose loss becomes inf or '
        'NaN counts as 0.',
        f'Test: {len(plan.seeds)} other seeds at the chosen rate. Runs of '
        "the same seed share the student's initialisation and the order "
        'of the data, so differences are taken seed by seed.',
    ]


def how_lines(facts: Facts) -> List[str]:
    """Say what was run where, a point a line."""
    cached = facts.runs - facts.trained
    resumed = '' if not cached else (
        f' The command continued an earlier one: {cached} of the runs had '
        'their results already.')
    return [
        f'Command: `{facts.command}`, {facts.minutes:.0f} minutes, two '
        f'runs at a time.{resumed}',
        f'{facts.runs} runs, {facts.run_minutes:.0f} minutes one after '
        'the other.',
        f'Machine: {facts.machine}.',
        f'{facts.versions}.',
        f'Commit {facts.commit}; {facts.date}.',
    ]


def _results(plan: Plan, outcome: Outcome) -> str:
    arms = {arm.name: arm for arm in plan.arms}
    return accuracy_table(plan.arms, outcome, [
        arms[name] for name in REFERENCES if name in arms])


def _ablations(outcome: Outcome, title: str) -> str:
    rate = outcome.ablations[0].rate
    seeds = ', '.join(map(str, sorted(outcome.ablations[0].test)))
    text = fill(
        f'{title}, one setting changed at a time, all at the rate chosen for '
        f'it, {rate:g}; test accuracy, seeds {seeds}. delta and phases are '
        'changed with the dynamic mask, K with the static one.', 79)
    return f'{text}\n\n{ablation_table(outcome)}'


def _caveats(plan: Plan) -> str:
    return bullets([
        f'{len(plan.seeds)} seeds are few: a difference below twice its '
        'standard error is no difference, and among this many comparisons '
        'one or two pass that bar by chance.',
        'The seeds vary initialisation and order. The data, the noise and '
        'the teacher are one draw, shared by all; the test pairs reuse 550 '
        'digits, so accuracies hang together more than those of 4000 '
        'independent images.',
        'Only the learning rate is tuned. Temperatures, loss weights, '
        'momenta and K are those published for CIFAR-100 (LSKD: for ImageNet, '
        "task weight 1; CIFAR-100's 0.1 did far worse in tries), or this "
        "project's defaults; the nets here are far smaller and the training "
        'takes seconds.',
        'Noise, nets, epochs and the grid were chosen in tries of one seed '
        'each, on another draw of the data (its seed 0, here 1), so that the '
        'teacher is well ahead of the student alone.',
        'The task is made hard by noise and few images, and the teacher has '
        'more weight decay than the students: what helps here need not help '
        'elsewhere.',
        'MLKD and CRLD see a second, augmented view of every image and take '
        'about twice the time of an iteration; no other method is augmented.',
        'The ablations keep the learning rate, while delta changes the size '
        'of the steps too: they show the setting and that change together.',
    ])
