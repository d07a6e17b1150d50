"""Lays the benchmark's results out as a page."""
from statistics import mean
from textwrap import fill
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from .arms import Arm, Plan
from .benchmark import Outcome
from .statistic import Estimate, estimate, paired
from .tuning import on_edge

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
        '## The arms', arm_table(plan.arms, facts),
        '## Read with care', _caveats(plan)
    ]
    return '\n\n'.join(parts) + '\n'


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its first column to the left."""
    cells = [header, *rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    lines = [' | '.join(
        text.ljust(width) if i == 0 else text.rjust(width)
        for i, (text, width) in enumerate(zip(line, widths)))
        for line in cells]
    rule = ' | '.join('-' * width if i == 0 else '-' * (width - 1) + ':'
                      for i, width in enumerate(widths))
    return '\n'.join(f'| {line} |' for line in [lines[0], rule, *lines[1:]])


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
        facts.task,
        f'Teacher: validation {outcome.teacher.val:.1f}, test '
        f'{outcome.teacher.test:.1f}; one training, the same for all '
        'students.',
        f'Learning rates: every method was tried at the same '
        f'{len(plan.rates)} rates with {len(plan.tuning_seeds)} seeds on '
        'the validation pairs; where the best was on the edge of the '
        'grid, the grid was extended by the same factor, at most '
        f'{plan.max_extensions} times.',
        f'Test: {len(plan.seeds)} other seeds at the chosen rate. Runs of '
        "the same seed share the student's initialisation and the order "
        'of the data, so differences are taken seed by seed.',
    ]


def bullets(lines: Sequence[str]) -> str:
    """Return a list in Markdown, an item a line."""
    return '\n'.join(
        fill(f'- {line}', 79, subsequent_indent='  ', break_long_words=False,
             break_on_hyphens=False) for line in lines)


def _results(plan: Plan, outcome: Outcome) -> str:
    titles = {arm.name: arm.title for arm in plan.arms}
    references = [name for name in REFERENCES if name in titles]
    header = ['Method', 'lr', f'test, mean ± sd ({len(plan.seeds)} seeds)',
              *(f'minus {titles[name]}, ± s.e.' for name in references)]
    test = {name: test_by_seed(outcome, name) for name in titles}
    rows = []
    for name, title in titles.items():
        found = estimate(list(test[name].values()))
        rows.append([title, f'{outcome.rates[name]:g}',
                     f'{found.mean:.2f} ± {found.sd:.2f}',
                     *(difference(None if name == other else paired(
                         test[name], test[other])) for other in references)])
    return markdown(header, rows)


def test_by_seed(outcome: Outcome, name: str) -> Dict[int, float]:
    """Return an arm's test accuracies."""
    return {seed: result.test
            for seed, result in outcome.final[name].items()}


def difference(found: Optional[Estimate]) -> str:
    """Return a difference with its standard error; nothing of None."""
    if found is None:
        return ''
    return f'{found.mean:+.2f} ± {found.error:.2f}'


def rate_table(plan: Plan, outcome: Outcome) -> str:
    """Return what every method reached at every rate, with a note."""
    rates = sorted({rate for tries in outcome.tries.values()
                    for rate in tries})
    rows, edges = [], []
    for arm in plan.arms:
        tries = outcome.tries[arm.name]
        chosen = outcome.rates[arm.name]
        rows.append([arm.title, *(
            _try(tries.get(rate), rate == chosen) for rate in rates)])
        if on_edge(tries):
            edges.append(arm.title)
    note = ('Every best rate is inside its grid.' if not edges else
            f'Best at the edge of what was tried: {", ".join(edges)}.')
    seeds = ', '.join(str(seed) for seed in plan.tuning_seeds)
    text = fill(f'Validation accuracy, mean of the seeds {seeds}; the chosen '
                f'rate in bold. {note}', 79)
    return (f'{text}\n\n' +
            markdown(['Method', *(f'{rate:g}' for rate in rates)], rows))


def _try(values: Optional[List[float]], chosen: bool) -> str:
    if values is None:
        return ''
    text = f'{mean(values):.1f}'
    return f'**{text}**' if chosen else text


def _ablations(outcome: Outcome, title: str) -> str:
    rate = outcome.ablations[0].rate
    seeds = ', '.join(map(str, sorted(outcome.ablations[0].test)))
    rows = []
    for setting in outcome.ablations:
        found = estimate(list(setting.test.values()))
        rows.append([setting.title, setting.label,
                     f'{found.mean:.2f} ± {found.sd:.2f}'])
    text = fill(
        f'{title}, one setting changed at a time, all at the rate chosen for '
        f'it, {rate:g}; test accuracy, seeds {seeds}. delta and phases are '
        'changed with the dynamic mask, K with the static one.', 79)
    return f'{text}\n\n' + markdown(
        ['Setting', 'value', 'test, mean ± sd'], rows)


def arm_table(arms: Sequence[Arm], facts: Facts) -> str:
    """Return every method's config and overrides, with the command."""
    rows = [[arm.title, f'`{arm.config}`', '<br>'.join(
        f'`{_override(key, value)}`' for key, value in arm.options)]
        for arm in arms]
    text = fill(
        'Any run is `OMP_NUM_THREADS=1 python tools/train.py CONFIG '
        '--cfg-options '
        'optim_wrapper.optimizer.lr=LR randomness.seed=SEED` with the '
        'overrides below and, of a student with a teacher, '
        f'`model.teacher_checkpoint={facts.teacher}`.', 79,
        break_long_words=False, break_on_hyphens=False)
    return f'{text}\n\n' + markdown(['Method', 'config', 'overrides'], rows)


def _override(key: str, value: Any) -> str:
    # As a shell and MMEngine's DictAction take it.
    if isinstance(value, tuple):
        value = '"(' + ','.join(map(str, value)) + ')"'
    return f'{key}={value}'


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
