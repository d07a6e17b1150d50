"""The classification benchmark: every method on Digits-100, measured here.

    make bench-digits       (or: python tools/bench_digits.py)

Trains the teacher, then every method at several learning rates, chosen on the
validation pairs, then several seeds at the chosen rate, then the ablations.
Writes docs/results/digits100.md and docs/images/digits100.png. Finished runs
are kept in work_dirs/bench_digits, by a hash of config and code: the command
continues where it stopped. ``--smoke`` only shows that everything runs.
"""
import os
import time
import warnings
from pathlib import Path

# Before torch: two runs at a time, one thread each.
os.environ['OMP_NUM_THREADS'] = '1'
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

from bench_steps.arms import (  # noqa: E402
    FULL,
    SMOKE,
    STUDENT,
    TEACHER,
    Plan,
)
from bench_steps.benchmark import Benchmark, Outcome  # noqa: E402
from bench_steps.command_line import command, run_command, say  # noqa: E402
from bench_steps.executor import Executor  # noqa: E402
from bench_steps.machine import (  # noqa: E402
    commit,
    describe_machine,
    describe_versions,
)
from bench_steps.plot import draw  # noqa: E402
from bench_steps.report import Facts, page  # noqa: E402
from bench_steps.runs import ROOT, Run, describe_task  # noqa: E402

_NAME = 'bench-digits'
_WORKERS = 2


def main() -> None:
    """Run the benchmark."""
    run_command(_NAME, __doc__.splitlines()[0], 'one epoch and few seeds',
                (FULL, SMOKE), run)


def run(plan: Plan, work_dir: Path, docs: Path) -> None:
    """Train what is missing, then write the page and the picture."""
    start = time.time()
    executor = Executor(work_dir, _WORKERS, say)
    outcome = Benchmark(plan, executor, say)()
    results = executor.all_results(outcome.runs)
    teacher = executor.checkpoint(outcome.runs[0])
    facts = Facts(
        command=command(_NAME),
        minutes=(time.time() - start) / 60,
        trained=executor.trained,
        runs=len(results),
        run_minutes=sum(result.seconds for result in results) / 60,
        teacher=os.path.relpath(teacher, ROOT),
        task=describe_task(
            Run(STUDENT, 0, options=plan.options),
            Run(TEACHER, 0, options=plan.options)),
        machine=describe_machine(),
        versions=describe_versions(),
        commit=commit(ROOT),
        date=time.strftime('%Y-%m-%d'))
    write(plan, outcome, facts, docs)
    say(f'{_NAME}: {facts.minutes:.1f} minutes, {executor.trained} runs '
        f'trained; the page is {docs / "results" / "digits100.md"}')


def write(plan: Plan, outcome: Outcome, facts: Facts, docs: Path) -> None:
    """Write the page and the picture it shows."""
    draw(plan, outcome, docs / 'images' / 'digits100.png')
    target = docs / 'results' / 'digits100.md'
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        page(plan, outcome, facts, '../images/digits100.png'),
        encoding='utf-8')


if __name__ == '__main__':
    main()
