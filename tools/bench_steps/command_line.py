"""What the commands of the benchmarks have in common."""
import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Callable, Tuple, TypeVar

from .pool import TaskError
from .runs import ROOT

Plan = TypeVar('Plan')


def run_command(name: str, about: str, smoke: str, plans: Tuple[Plan, Plan],
                run: Callable[[Plan, Path, Path], None]) -> None:
    """Read the command line of a benchmark and run it from the repository.

    Exits with one sentence where the benchmark fails or is interrupted.

    Args:
        name: Name of the command, such as ``bench-digits``.
        about: What it does, in one line.
        smoke: What ``--smoke`` does.
        plans: The plan, and the one of ``--smoke``.
        run: Called with the plan, the folder of the runs and that of the
            page.
    """
    stem = name.replace('-', '_')
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        '--work-dir', help=f'where runs are kept (work_dirs/{stem})')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help=f'{smoke}, into work_dirs/{stem}_smoke; the page is written '
        'there too')
    args = parser.parse_args()
    # A terminated benchmark ends its runs too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    full, short = plans
    default = f'work_dirs/{stem}_smoke' if args.smoke else f'work_dirs/{stem}'
    folder = Path(args.work_dir or default).resolve()
    try:
        if args.smoke:
            run(short, folder, folder / 'docs')
        else:
            run(full, folder, ROOT / 'docs')
    except (TaskError, OSError) as error:
        sys.exit(f'{name}: {error}')
    except KeyboardInterrupt:
        sys.exit(f'{name}: interrupted; the same command continues.')


def command(name: str) -> str:
    """Return the command that a reader types to get the page."""
    options = ' '.join(sys.argv[1:])
    if not options:
        return f'make {name}'
    return f'python tools/{name.replace("-", "_")}.py {options}'


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)
