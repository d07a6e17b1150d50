"""Lays everything out as docs/results/gsnr.md."""
from typing import Dict, List, NamedTuple, Sequence

from ..bench_steps.benchmark import Outcome
from ..bench_steps.comparing import accuracy_table, comparison
from ..bench_steps.curves import Runs
from ..bench_steps.layout import bullets, words
from ..bench_steps.report import Facts, fact_lines
from ..bench_steps.tables import arm_table, rate_table
from .caveats import caveats
from .detecting import STUDENT, TEACHER, Detected
from .plan import OTHERS, SHIPPED_K, GSNRPlan
from .results import best, choice_lines, flat_choice
from .streams import Choice, Watched
from .tables import (
    momentum_table,
    norm_table,
    part_table,
    ratio_table,
    thirds_table,
    verdict,
)

PICTURES = ('gsnr_digits100.png', 'gsnr_detection.png', 'gsnr_momenta.png',
            'gsnr_topk.png')


class Measured(NamedTuple):
    """All that was measured.

    Attributes:
        outcome: The runs on Digits-100.
        watched: The settings whose gradients were measured there.
        driven: The reports of the runs with GSNR-driven momenta.
        choices: The static K that the runs chose, by title of the arm.
        detected: The detectors.
    """

    outcome: Outcome
    watched: Sequence[Watched]
    driven: Runs
    choices: Dict[str, Sequence[Choice]]
    detected: Detected


def page(plan: GSNRPlan, measured: Measured, facts: Facts) -> str:
    """Return the page in Markdown.

    Args:
        plan: What was trained.
        measured: What was measured.
        facts: How.
    """
    outcome = measured.outcome
    parts = [
        '# Gradient signal-to-noise ratios, and what follows them',
        words(
            'DeepKD (Sec. 3.2) argues that the gradients of the task and of '
            'the non-target classes have a larger signal-to-noise ratio '
            '(GSNR) than that of the target class, and therefore deserve '
            'the larger momentum. Here the ratios are measured, momenta '
            'follow them, and K follows the teacher. This page is written '
            'by the command below.'),
        bullets([*fact_lines(plan.classification, outcome, facts),
                 *_watch_lines(plan)]),
        *_digits100(measured), *_detection(measured.detected),
        *_momenta(plan, measured), *_topk(plan, measured),
        '## Learning rates', rate_table(plan.classification, outcome),
        '## The arms', arm_table(plan.classification.arms, facts.teacher),
        '## Read with care', caveats(plan),
    ]
    return '\n\n'.join(parts) + '\n'


def detection_watched(detected: Detected) -> Watched:
    """Return the detector's reports as a setting of one run."""
    return Watched('Faster R-CNN', {0: detected.reports})


def _watch_lines(plan: GSNRPlan) -> List[str]:
    options = dict(plan.detection)
    interval = options['default_hooks.gsnr.interval']
    samples = options['default_hooks.gsnr.samples']
    return [
        f'GSNR: `GSNRHook(interval={interval}, samples={samples})`; its '
        'docstring defines the estimator. Where it only watches it changes '
        'no training, and so it is in the final runs whose accuracies are '
        'below.',
        f'No top-K: K keeps all {OTHERS} non-target classes.',
        "Two of the runs are the detectors': the teacher's and the "
        "student's."]


def _digits100(measured: Measured) -> List[str]:
    watched = measured.watched
    seeds = len(watched[0].runs)
    return [
        '## Digits-100: the three curves',
        _picture('GSNR and gradient norm by stream', 0),
        words(f'DeepKD over KD, each setting at its own learning rate; mean '
              f'and deviation over {seeds} seeds. The claim: task and '
              'non_target above target. Found:'),
        bullets([verdict(setting) for setting in watched]),
        words('The average over the training, mean ± sd of the runs; how '
              'often the claimed order held, in per cent of the reports; '
              'and in how many runs the averages had it.'),
        ratio_table(watched), words('By the thirds of the training:'),
        thirds_table(watched),
        words(f'By part of the student ({watched[0].title}), the largest of '
              'every stream in bold:'),
        part_table(watched[0].runs),
        words('Norms and angles of the gradients of one update, averaged '
              'over the training:'), norm_table(watched)]


def _detection(detected: Detected) -> List[str]:
    watched = [detection_watched(detected)]
    return [
        '## The digits scenes: a detector',
        _picture('GSNR and gradient norm by stream, detection', 1),
        words(f'The shipped training of `{STUDENT}` (Faster R-CNN, DeepKD '
              'over DKD with its dynamic top-K), one seed, with a teacher '
              f'of `{TEACHER}`; box mAP of the teacher '
              f'{detected.teacher_map:.1f}, of the student '
              f'{detected.student_map:.1f}. Found:'),
        bullets([verdict(watched[0])]), ratio_table(watched),
        thirds_table(watched), part_table(watched[0].runs),
        norm_table(watched)]


def _momenta(plan: GSNRPlan, measured: Measured) -> List[str]:
    outcome = measured.outcome
    arms = {arm.name: arm for arm in plan.momenta}
    names = [('driven', 'fixed'), ('driven', 'equal'), ('fixed', 'equal')]
    return [
        '## Momenta: fixed, equal, driven by the GSNR',
        accuracy_table(plan.momenta, outcome, [
            arms[name] for name in ('alone', 'fixed', 'equal')]),
        bullets([comparison(outcome, arms[a], arms[b]) for a, b in names]),
        _picture('Smoothed GSNR, and momenta', 2),
        words('The momenta that the GSNR chose, mean ± sd of the runs:'),
        momentum_table(measured.driven)]


def _topk(plan: GSNRPlan, measured: Measured) -> List[str]:
    outcome = measured.outcome
    grid = [arm for arm in plan.topk if arm.name[1:].isdigit()]
    auto = [arm for arm in plan.topk if arm not in grid]
    winner = best(grid, outcome)
    lead = winner._replace(
        title=f'{winner.title} (of the grid the best by the test)')
    return [
        "## K: 'auto' against a grid",
        words('What auto chose:'), bullets(choice_lines(measured.choices)),
        words(flat_choice(auto, measured.choices)),
        words('DeepKD over KD with the dynamic schedule of K (by the '
              'config, the middle phase from 30 to 70 % of the epochs), '
              'by its static K, each at its own learning rate. The config '
              f'has {SHIPPED_K}; the row without a mask is from above.'),
        accuracy_table([*plan.topk, plan.momenta[1]], outcome,
                       [winner, auto[0]]),
        _picture('Test accuracy by static K', 3),
        bullets([comparison(outcome, arm, lead) for arm in auto])]


def _picture(title: str, number: int) -> str:
    return f'![{title}](../images/{PICTURES[number]})'
