"""The course of the benchmark: both tasks, and the one-stage student."""
from typing import Callable, List, NamedTuple

from ..bench_steps.arms import Arm
from ..bench_steps.benchmark import Benchmark, Outcome, teacher_run
from ..bench_steps.executor import Executor
from ..bench_steps.runs import Run, identify
from .logged import Logged, read_lines
from .page import Measured
from .plan import DiffKDPlan


class Trained(NamedTuple):
    """What the course has trained.

    Attributes:
        measured: What came out.
        runs: Every run.
        trained: How many runs had no result before.
    """

    measured: Measured
    runs: List[Run]
    trained: int


def train_all(plan: DiffKDPlan, executor: Executor,
              say: Callable[[str], None]) -> Trained:
    """Train what has no result yet, and read all that was logged.

    The detectors' teacher is trained beside the search for learning rates on
    Digits-100, and the one-stage students beside the one of the detectors.

    Args:
        plan: What to train.
        executor: Trains runs, or knows their results.
        say: Receives the progress.
    """
    teacher = teacher_run(plan.detection)
    one_stage = {arm.name: _one_stage_run(plan, arm, teacher)
                 for arm in plan.one_stage}
    early = [run for run in (teacher, ) if not executor.done(run)]
    late = [run for run in one_stage.values() if not executor.done(run)]
    say('Digits-100')
    classification = Benchmark(plan.classification, executor, say,
                               [executor.task(run) for run in early])()
    say('Digits detection')
    detection = Benchmark(plan.detection, executor, say,
                          [executor.task(run) for run in late])()
    measured = Measured(
        detection, classification,
        {name: executor([run])[run] for name, run in one_stage.items()},
        _logged(plan, executor, detection, classification))
    return Trained(
        measured,
        [*classification.runs, *detection.runs, *one_stage.values()],
        executor.trained + len(early) + len(late))


def _one_stage_run(plan: DiffKDPlan, arm: Arm, teacher: Run) -> Run:
    distils = 'baseline_' not in arm.config
    return Run(
        arm.config, plan.one_stage_seed,
        options=(*arm.options, *plan.detection.options),
        teacher=identify(teacher) if distils else None, test=True)


def _logged(plan: DiffKDPlan, executor: Executor, detection: Outcome,
            classification: Outcome) -> List[Logged]:
    """Read the final runs of DiffKD alone, and with DeepKD's streams."""
    found = []
    for task, course, outcome in (
            ('detection', plan.detection, detection),
            ('Digits-100', plan.classification, classification)):
        for arm in course.arms:
            if arm.name in ('diffkd', 'own'):
                found.append(Logged(f'{task}: {arm.title}', {
                    seed: read_lines(executor.folder(run) / 'mmengine')
                    for seed, run in outcome.final_runs[arm.name].items()}))
    return found
