"""Lays everything out as docs/results/diffkd.md."""
from typing import Dict, List, NamedTuple, Sequence

from ..bench_steps.arms import Options, Plan
from ..bench_steps.benchmark import Outcome
from ..bench_steps.comparing import accuracy_table, comparison
from ..bench_steps.layout import bullets, markdown, words
from ..bench_steps.report import Facts, how_lines
from ..bench_steps.runs import Result
from ..bench_steps.tables import arm_table, rate_table, tested_rates_table
from .caveats import caveats
from .logged import Logged, gammas, losses
from .plan import DiffKDPlan
from .scenes import COUNT
from .tables import gamma_verdict, over_time

PICTURES = ('diffkd_results.png', 'diffkd_curves.png')


class Measured(NamedTuple):
    """All that was measured.

    Attributes:
        detection: The runs on the digits scenes.
        classification: The runs on Digits-100.
        one_stage: The results of the one-stage arms, by name.
        logged: What the final runs with DiffKD logged.
    """

    detection: Outcome
    classification: Outcome
    one_stage: Dict[str, Result]
    logged: Sequence[Logged]


class Task(NamedTuple):
    """What the page says about a task.

    Attributes:
        about: The nets and their training.
        teacher: The teacher's checkpoint, relative to the repository.
    """

    about: str
    teacher: str


def page(plan: DiffKDPlan, measured: Measured, facts: Facts,
         detection: Task, classification: Task) -> str:
    """Return the page in Markdown.

    Args:
        plan: What was trained.
        measured: What was measured.
        facts: How.
        detection: The task on the digits scenes.
        classification: Digits-100.
    """
    parts = [
        '# DiffKD, and a momentum of its own for features',
        words(
            'DiffKD (arXiv 2305.15712) denoises the features of the student '
            "by a diffusion model of the teacher's and then matches them. "
            'Its loss is a gradient stream: combined with the streams of '
            "DeepKD it has the task's momentum or one of its own. This page "
            'is written by the command below.'),
        bullets([*how_lines(facts), *_care_lines(plan)]),
        _picture('Results of every run', 0),
        '## Digits detection',
        *_results(plan.detection, measured.detection, detection),
        '## Digits-100',
        *_results(plan.classification, measured.classification,
                  classification),
        '## A one-stage student', *_one_stage(plan, measured),
        '## Losses and gamma', *_over_time(measured.logged),
        '## Learning rates', 'Digits detection.',
        rate_table(plan.detection, measured.detection,
                   'Box mAP on the tuning scenes'), 'Digits-100.',
        rate_table(plan.classification, measured.classification),
        '## The arms', 'Digits detection.', *_shared(plan.detection),
        arm_table([*plan.detection.arms, *plan.one_stage],
                  detection.teacher), 'Digits-100.',
        *_shared(plan.classification),
        arm_table(plan.classification.arms,
                  classification.teacher),
        '## Read with care', caveats(plan),
    ]
    return '\n\n'.join(parts) + '\n'


def _care_lines(plan: DiffKDPlan) -> List[str]:
    scenes, pairs = plan.detection, plan.classification
    return [
        'Equal care: of every arm the learning rate is chosen and nothing '
        'else, from the same rates. Digits detection: '
        f'{len(scenes.rates)} rates, {len(scenes.tuning_seeds)} runs each, '
        f'on {COUNT} scenes that are not those of the results. Digits-100: '
        f'{len(pairs.rates)} rates, '
        f'{len(pairs.tuning_seeds)} runs each, on the validation pairs; where '
        'the best was on the edge of the grid, the grid was extended by the '
        f'same factor, at most {pairs.max_extensions} times. A training '
        'whose loss becomes inf or NaN counts as 0. DeepKD + DiffKD '
        "with a momentum of its own takes the rate that was chosen with the "
        "task's: the two differ in that momentum alone. All other settings, "
        'the weights of the losses too, are those of the configs; DeepKD on '
        'Digits-100 is without top-K, with which it does worse there '
        '(docs/results/digits100.md).',
        f'Results: {len(scenes.seeds)} and {len(pairs.seeds)} other seeds at '
        "the chosen rate. Runs of the same seed share the student's "
        'initialisation and the order of the data, so differences are taken '
        'seed by seed.',
    ]


def _results(plan: Plan, outcome: Outcome, task: Task) -> List[str]:
    arms = {arm.name: arm for arm in plan.arms}
    plain, deepkd, shared, own = (
        arms[name] for name in ('plain', 'deepkd', 'shared', 'own'))
    pairs = [(deepkd, plain), (arms['diffkd'], plain), (shared, deepkd),
             (own, deepkd), (own, shared)]
    return [
        words(f'{task.about} The teacher reaches {outcome.teacher.test:.1f}; '
              'one training, the same for all students.'),
        accuracy_table(plan.arms, outcome, [plain, deepkd]),
        bullets([comparison(outcome, one, other) for one, other in pairs]),
        *_at_all_rates(plan, outcome)]


def _at_all_rates(plan: Plan, outcome: Outcome) -> List[str]:
    if not plan.all_rates:
        return []
    return [
        words('The same seeds at every rate that was tried; the rate that '
              'the other scenes and seeds chose is in bold:'),
        tested_rates_table(plan, outcome)]


def _one_stage(plan: DiffKDPlan, measured: Measured) -> List[str]:
    rows = [[arm.title, f'{measured.one_stage[arm.name].test:.1f}',
             f'{measured.one_stage[arm.name].seconds:.0f}']
            for arm in plan.one_stage]
    return [
        words('RetinaNet of the same width as the student above, taught by '
              'the FPN levels of the same Faster R-CNN. One run each, seed '
              f'{plan.one_stage_seed}, at the learning rate of its config: '
              'this shows that it trains, not which is better.'),
        markdown(['Method', 'box mAP', 'seconds'], rows)]


def _over_time(logged: Sequence[Logged]) -> List[str]:
    return [
        _picture('Losses and gamma over the iterations', 1),
        words("Gamma is the share of the student's feature in what is "
              'denoised, the rest is noise; at 1 there is none. Its mean '
              'over a batch, from the first to the last line of the log, '
              'mean of the runs:'),
        bullets([gamma_verdict(setting) for setting in logged]),
        words('Mean ± sd of the runs at the first, a middle and the last '
              'line of the log:'),
        over_time(logged, gammas),
        words('The losses, with their weights; a line of the log averages '
              'over the iterations before it:'),
        over_time(logged, losses)]


def _shared(plan: Plan) -> List[str]:
    """Say what every run of a task overrides beside its arm."""
    return [words(f'All runs have {_overrides(plan.options)} too.')
            ] if plan.options else []


def _overrides(options: Options) -> str:
    return ', '.join(f'`{key}={value}`' for key, value in options)


def _picture(title: str, number: int) -> str:
    return f'![{title}](../images/{PICTURES[number]})'
