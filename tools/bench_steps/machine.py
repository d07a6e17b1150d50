"""Where and with what the benchmark ran."""
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> str:
    """Return the processor and the cores this process may use."""
    info = Path('/proc/cpuinfo')
    text = info.read_text() if info.is_file() else ''
    model = re.search(r'model name\s*:\s*(.+)', text)
    processor = model.group(1) if model else platform.machine()
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
             else os.cpu_count())
    return f'{processor}, {cores} cores, no GPU used'


def describe_versions(*more: str) -> str:
    """Return the versions of Python and of the packages that train.

    Args:
        more: Names of further packages.
    """
    packages = ', '.join(
        f'{name} {version(name)}'
        for name in ('torch', 'mmengine', 'mmpretrain', 'numpy',
                     'scikit-learn', *more))
    return f'Python {platform.python_version()}, {packages}'


def commit(root: Path) -> str:
    """Return the checked-out commit, and whether tracked files differ."""
    try:
        name = _git(root, 'rev-parse', '--short=12', 'HEAD')
        changed = _git(root, 'status', '--porcelain',
                       '--untracked-files=no')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown (no git repository)'
    return f'{name} with changes' if changed else name


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ['git', *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        text=True).stdout.strip()
