"""The classification benchmark: every method on Digits-100, measured here.

    make bench-digits       (or: python tools/bench_digits.py)

Trains the teacher, then every method at several learning rates, chosen on the
validation pairs, then several seeds at the chosen rate, then the ablations.
Writes docs/results/digits100.md and docs/images/digits100.png. Finished runs
are kept in work_dirs/bench_digits, by a hash of config and code: the command
continues where it stopped. ``--smoke`` only shows that everything runs.
"""
import argparse
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Tuple

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
from bench_steps.executor import Executor  # noqa: E402
from bench_steps.machine import (  # noqa: E402
    commit,
    describe_machine,
    describe_versions,
)
from bench_steps.plot import draw  # noqa: E402
from bench_steps.pool import TaskError  # noqa: E402
from bench_steps.report import Facts, page  # noqa: E402
from bench_steps.runs import ROOT, Run, describe_task  # noqa: E402

_WORKERS = 2


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--work-dir', help='where runs are kept (work_dirs/bench_digits)')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help='one epoch and few seeds, into work_dirs/bench_digits_smoke; '
        'the page is written there too')
    args = parser.parse_args()
    # A terminated benchmark ends its runs too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    try:
        run(*_setting(args.smoke, args.work_dir))
    except (TaskError, OSError) as error:
        sys.exit(f'bench-digits: {error}')
    except KeyboardInterrupt:
        sys.exit('bench-digits: interrupted; the same command continues.')


def _setting(smoke: bool, work_dir: str) -> Tuple[Plan, Path, Path]:
    """Return the plan, the folder of the runs and that of the page."""
    if smoke:
        folder = Path(work_dir or 'work_dirs/bench_digits_smoke').resolve()
        return SMOKE, folder, folder / 'docs'
    folder = Path(work_dir or 'work_dirs/bench_digits').resolve()
    return FULL, folder, ROOT / 'docs'


def run(plan: Plan, work_dir: Path, docs: Path) -> None:
    """Train what is missing, then write the page and the picture."""
    start = time.time()
    executor = Executor(work_dir, _WORKERS, say)
    outcome = Benchmark(plan, executor, say)()
    results = executor.all_results(outcome.runs)
    teacher = executor.checkpoint(outcome.runs[0])
    facts = Facts(
        command=command(),
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
    say(f'bench-digits: {facts.minutes:.1f} minutes, {executor.trained} runs '
        f'trained; the page is {docs / "results" / "digits100.md"}')


def write(plan: Plan, outcome: Outcome, facts: Facts, docs: Path) -> None:
    """Write the page and the picture it shows."""
    draw(plan, outcome, docs / 'images' / 'digits100.png')
    target = docs / 'results' / 'digits100.md'
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        page(plan, outcome, facts, '../images/digits100.png'),
        encoding='utf-8')


def command() -> str:
    """Return the command that a reader types to get this page."""
    options = ' '.join(sys.argv[1:])
    return f'python tools/bench_digits.py {options}' if options else (
        'make bench-digits')


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
