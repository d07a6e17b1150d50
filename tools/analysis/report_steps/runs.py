"""What a work directory tells of a run."""
import re
import time
from collections import Counter
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from .records import Session, merge, read_session, session_folders

_STAMP = re.compile(r'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ')
# Of mmdeepkd's summary at the start; of MMEngine's environment.
_VERSIONS = re.compile(r'versions\s+(\S.*)')
_PACKAGE = re.compile(r'\s+(PyTorch|MMEngine): (\S+)')


class LogFacts(NamedTuple):
    """What the text logs tell."""

    versions: str
    # From the first to the last line, over all sessions.
    seconds: Optional[float]


class Run(NamedTuple):
    """A run, as far as it has got."""

    name: str
    folder: Path
    records: Session
    log: LogFacts
    # File name of the config, and the config as it was resolved.
    config_name: str
    cfg: Optional[Config]
    checkpoint: Optional[Path]


def read_runs(folders: Sequence[Path],
              names: Optional[Sequence[str]] = None) -> List[Run]:
    """Read the runs of some work directories.

    Args:
        folders: Work directories.
        names: What to call them, instead of by their folders.

    Raises:
        FileNotFoundError: A folder is not there, or there is no run in it.
        ValueError: The names are not one per folder, all different.
    """
    if names is None:
        names = _folder_names(folders)
    if len(names) != len(folders):
        raise ValueError(f'--names gives {len(names)} names for '
                         f'{len(folders)} work directories: give one each.')
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f'two runs are called {twice[0]}: give each work '
                         'directory once, or other --names.')
    return [read_run(*pair) for pair in zip(folders, names)]


def read_run(folder: Path, name: str) -> Run:
    """Read the run of a work directory."""
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no work directory {folder}.')
    sessions = session_folders(folder)
    if not sessions:
        raise FileNotFoundError(_no_run(folder))
    config = _newest([*folder.glob('*.py'),
                      *(s / 'vis_data' / 'config.py' for s in sessions)])
    named = _newest(list(folder.glob('*.py')))
    return Run(name, folder, merge([read_session(s) for s in sessions]),
               _read_logs(sessions), named.name if named else '',
               None if config is None else _read_config(config),
               _checkpoint(folder))


def _read_config(path: Path) -> Optional[Config]:
    # A package that it imports may be missing here: the curves need none.
    try:
        return Config.fromfile(path)
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _folder_names(folders: Sequence[Path]) -> List[str]:
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    return ['/'.join(folder.resolve().parts[-2:]) for folder in folders]


def _no_run(folder: Path) -> str:
    said = (f'{folder} holds no run: no TIMESTAMP/vis_data/scalars.json, '
            'which MMEngine writes with a LocalVisBackend')
    if (folder / 'vis_data').is_dir():
        return f'{said}; give its parent, {folder.parent}.'
    inner = sorted({path.parents[2].name for path in folder.glob(
        '*/*/vis_data/scalars.json')})
    if inner:
        return f'{said}; give the folders in it ({", ".join(inner[:8])}).'
    return f'{said}; give the work directory of a training.'


def _newest(files: Sequence[Path]) -> Optional[Path]:
    there = [file for file in files if file.is_file()]
    return max(there, key=lambda f: f.stat().st_mtime) if there else None


def _checkpoint(folder: Path) -> Optional[Path]:
    """Return the last checkpoint, also of a folder that was moved."""
    if not (folder / 'last_checkpoint').is_file():
        return None
    latest = Path(find_latest_checkpoint(str(folder)) or '')
    for path in (latest, folder / latest.name):
        if path.is_file():
            return path
    return None


def _read_logs(sessions: Sequence[Path]) -> LogFacts:
    versions, packages, seconds = '', {}, []
    for session in sessions:
        stamps = []
        for log in session.glob('*.log'):
            with log.open(encoding='utf-8', errors='replace') as lines:
                for line in lines:
                    stamp = _STAMP.match(line)
                    if stamp:
                        stamps.append(stamp[1])
                        continue
                    found = _VERSIONS.match(line)
                    versions = found[1].strip() if found else versions
                    found = _PACKAGE.match(line)
                    packages.update([found.groups()] if found else [])
        if stamps:
            seconds.append(_at(stamps[-1]) - _at(stamps[0]))
    plain = ', '.join(f'{name} {v}' for name, v in packages.items())
    return LogFacts(versions or plain, sum(seconds) if seconds else None)


def _at(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, '%Y/%m/%d %H:%M:%S'))
