"""The signal-to-noise ratios of gradient streams, and what follows them.

    make bench-gsnr         (or: python tools/bench_gsnr.py)

Measures the GSNR of DeepKD's streams on Digits-100 and on the digits
detection set, compares fixed momenta with GSNR-driven ones, and static_k
'auto' with a grid of K; every setting at its own learning rate. Writes
docs/results/gsnr.md and its pictures. Finished runs are kept in
work_dirs/bench_gsnr, by a hash of config and code: the command continues
where it stopped. ``--smoke`` only shows that everything runs.
"""
import os
import sys
import time
import warnings
from pathlib import Path

# Before torch: two runs at a time, one thread each.
os.environ['OMP_NUM_THREADS'] = '1'
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
ROOT = Path(__file__).resolve().parents[1]
# Also where the package is not installed, and in the detectors' processes.
sys.path.insert(0, str(ROOT))

from mmdeepkd.datasets import make_digits_detection  # noqa: E402
from tools.bench_steps.arms import STUDENT, TEACHER  # noqa: E402
from tools.bench_steps.benchmark import Benchmark, Outcome  # noqa: E402
from tools.bench_steps.command_line import (  # noqa: E402
    command,
    run_command,
    say,
)
from tools.bench_steps.comparing import test_by_seed  # noqa: E402
from tools.bench_steps.curves import Runs  # noqa: E402
from tools.bench_steps.executor import Executor  # noqa: E402
from tools.bench_steps.machine import (  # noqa: E402
    commit,
    describe_machine,
    describe_versions,
)
from tools.bench_steps.report import Facts  # noqa: E402
from tools.bench_steps.runs import Run, describe_task  # noqa: E402
from tools.gsnr_steps import pictures  # noqa: E402
from tools.gsnr_steps.detecting import Detection  # noqa: E402
from tools.gsnr_steps.page import (  # noqa: E402
    PICTURES,
    Measured,
    detection_watched,
    page,
)
from tools.gsnr_steps.plan import (  # noqa: E402
    FULL,
    SMOKE_PLAN,
    GSNRPlan,
)
from tools.gsnr_steps.streams import (  # noqa: E402
    STREAMS,
    Watched,
    read_choice,
    read_reports,
)

_NAME = 'bench-gsnr'
_WORKERS = 2


def main() -> None:
    """Run the benchmark."""
    run_command(_NAME, __doc__.splitlines()[0],
                'a few iterations and seeds', (FULL, SMOKE_PLAN), run)


def run(plan: GSNRPlan, work_dir: Path, docs: Path) -> None:
    """Train what is missing, then write the page and the pictures."""
    start = time.time()
    # The detectors' configs name data/digits relative to the repository.
    make_digits_detection('data/digits')
    detection = Detection(work_dir, plan.detection, plan.short)
    executor = Executor(work_dir, _WORKERS, say)
    beside = [] if detection.done else [detection.task]
    outcome = Benchmark(plan.classification, executor, say, beside)()
    measured = _collect(plan, outcome, executor, detection)
    trained = executor.trained + detection.trainings * len(beside)
    facts = _facts(plan, outcome, executor, detection, trained,
                   (time.time() - start) / 60)
    write(plan, measured, facts, docs)
    say(f'{_NAME}: {facts.minutes:.1f} minutes, {facts.trained} runs '
        f'trained; the page is {docs / "results" / "gsnr.md"}')


def _collect(plan: GSNRPlan, outcome: Outcome, executor: Executor,
             detection: Detection) -> Measured:
    """Read what the hooks and the logs of the final runs say."""

    def folder(run: Run) -> Path:
        return executor.folder(run) / 'mmengine'

    def reports(name: str) -> Runs:
        return {seed: read_reports(folder(run))
                for seed, run in outcome.final_runs[name].items()}

    return Measured(
        outcome,
        [Watched(arm.title if arm in plan.momenta else
                 f'DeepKD, dynamic top-K, {arm.title}', reports(arm.name))
         for arm in plan.classification.arms if arm.watched],
        reports('driven'),
        {arm.title: [read_choice(folder(run))
                     for run in outcome.final_runs[arm.name].values()]
         for arm in plan.topk if 'auto' in arm.name},
        detection.result())


def _facts(plan: GSNRPlan, outcome: Outcome, executor: Executor,
           detection: Detection, trained: int, minutes: float) -> Facts:
    results = executor.all_results(outcome.runs)
    options = plan.classification.options
    return Facts(
        command=command(_NAME),
        minutes=minutes,
        trained=trained,
        runs=len(results) + detection.trainings,
        run_minutes=(sum(result.seconds for result in results)
                     + detection.seconds) / 60,
        teacher=os.path.relpath(executor.checkpoint(outcome.runs[0]), ROOT),
        task=describe_task(
            Run(STUDENT, 0, options=options),
            Run(TEACHER, 0, options=options)),
        machine=describe_machine(),
        versions=describe_versions('mmdet', 'mmcv'),
        commit=commit(ROOT),
        date=time.strftime('%Y-%m-%d'))


def write(plan: GSNRPlan, measured: Measured, facts: Facts,
          docs: Path) -> None:
    """Write the page and the pictures it shows."""
    images = [docs / 'images' / name for name in PICTURES]
    outcome = measured.outcome
    test = {arm.name: list(test_by_seed(outcome, arm.name).values())
            for arm in plan.topk}
    first = measured.watched[0].runs.values()
    fixed = {stream: next(iter(first))[0][f'momentum/{stream}']
             for stream in STREAMS}
    pictures.draw_streams(measured.watched, images[0])
    pictures.draw_streams([detection_watched(measured.detected)], images[1])
    pictures.draw_momenta(measured.driven, fixed, images[2])
    pictures.draw_topk(
        {int(arm.name[1:]): test[arm.name] for arm in plan.topk
         if 'auto' not in arm.name},
        {arm.title: ([choice.k for choice in measured.choices[arm.title]],
                     test[arm.name])
         for arm in plan.topk if 'auto' in arm.name}, images[3])
    target = docs / 'results' / 'gsnr.md'
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(plan, measured, facts), encoding='utf-8')


if __name__ == '__main__':
    main()
