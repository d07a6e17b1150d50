"""The feature stream: DiffKD alone and beside DeepKD, measured here.

    make bench-diffkd       (or: python tools/bench_diffkd.py)

Trains detectors on the digits scenes and classifiers on Digits-100: plain,
DeepKD, DiffKD, and both with the task's momentum for features or one of their
own; then a one-stage student. Every arm at its own learning rate. Writes
docs/results/diffkd.md and its pictures. Finished runs are kept in
work_dirs/bench_diffkd, by a hash of config and code: the command continues
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
# Also where the package is not installed.
sys.path.insert(0, str(ROOT))

from mmdeepkd.datasets import make_digits_detection  # noqa: E402
from tools.bench_steps.arms import Plan  # noqa: E402
from tools.bench_steps.benchmark import teacher_run  # noqa: E402
from tools.bench_steps.command_line import (  # noqa: E402
    command,
    run_command,
    say,
)
from tools.bench_steps.executor import Executor  # noqa: E402
from tools.bench_steps.machine import (  # noqa: E402
    commit,
    describe_machine,
    describe_versions,
)
from tools.bench_steps.report import Facts  # noqa: E402
from tools.bench_steps.runs import (  # noqa: E402
    Run,
    describe_task,
    resolve,
)
from tools.diffkd_steps import pictures  # noqa: E402
from tools.diffkd_steps.course import Trained, train_all  # noqa: E402
from tools.diffkd_steps.page import (  # noqa: E402
    PICTURES,
    Measured,
    Task,
    page,
)
from tools.diffkd_steps.plan import (  # noqa: E402
    FULL,
    SMOKE_PLAN,
    DiffKDPlan,
)
from tools.diffkd_steps.scenes import FOLDER, make_tuning_scenes  # noqa: E402

_NAME = 'bench-diffkd'
_WORKERS = 2


def main() -> None:
    """Run the benchmark."""
    run_command(_NAME, __doc__.splitlines()[0],
                'a few iterations and seeds', (FULL, SMOKE_PLAN), run)


def run(plan: DiffKDPlan, work_dir: Path, docs: Path) -> None:
    """Train what is missing, then write the page and the pictures."""
    start = time.time()
    # The configs name data/digits relative to the repository.
    make_digits_detection('data/digits')
    make_tuning_scenes(Path(FOLDER))
    executor = Executor(work_dir, _WORKERS, say)
    trained = train_all(plan, executor, say)
    facts = _facts(executor, trained, (time.time() - start) / 60)
    write(plan, trained.measured, facts, docs, *(
        Task(about, os.path.relpath(executor.checkpoint(teacher_run(course)),
                                    ROOT))
        for about, course in (
            (describe_detectors(plan.detection), plan.detection),
            (describe_classifiers(plan.classification),
             plan.classification))))
    say(f'{_NAME}: {facts.minutes:.1f} minutes, {facts.trained} runs '
        f'trained; the page is {docs / "results" / "diffkd.md"}')


def describe_classifiers(plan: Plan) -> str:
    """Say in a sentence what is trained on Digits-100, and for how long."""
    student, teacher = (Run(config, 0, options=plan.options)
                        for config in (plan.arms[0].config, plan.teacher))
    return describe_task(student, teacher)


def describe_detectors(plan: Plan) -> str:
    """Say in a sentence what is trained on the scenes, and for how long."""
    student, teacher = (resolve(Run(config, 0, options=plan.options))
                        for config in (plan.arms[0].config, plan.teacher))
    sides = [f'ResNet-{cfg.model.backbone.depth} of base width '
             f'{cfg.model.backbone.get("base_channels", 64)}, '
             f'{cfg.train_cfg.max_epochs} epochs' for cfg in
             (student, teacher)]
    return (f'Faster R-CNN. Student: {sides[0]}. Teacher: {sides[1]}. Both: '
            f'batch {student.train_dataloader.batch_size}, cosine, SGD of '
            f'momentum {student.optim_wrapper.optimizer.momentum:g} (methods '
            'with a momentum per stream: around it). Box mAP in per cent on '
            'the validation scenes of the digits set.')


def _facts(executor: Executor, trained: Trained, minutes: float) -> Facts:
    results = executor.all_results(trained.runs)
    return Facts(
        command=command(_NAME),
        minutes=minutes,
        trained=trained.trained,
        runs=len(results),
        run_minutes=sum(result.seconds for result in results) / 60,
        # Each task has its own.
        teacher='',
        task='',
        machine=describe_machine(),
        versions=describe_versions('mmdet', 'mmcv'),
        commit=commit(ROOT),
        date=time.strftime('%Y-%m-%d'))


def write(plan: DiffKDPlan, measured: Measured, facts: Facts, docs: Path,
          detection: Task, classification: Task) -> None:
    """Write the page and the pictures it shows."""
    results, curves = (docs / 'images' / name for name in PICTURES)
    pictures.draw_results(plan, measured.detection, measured.classification,
                          results)
    pictures.draw_logged(measured.logged, curves)
    target = docs / 'results' / 'diffkd.md'
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(plan, measured, facts, detection, classification),
                      encoding='utf-8')


if __name__ == '__main__':
    main()
