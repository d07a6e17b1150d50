"""What a work directory tells of a run."""
import re
import time
from collections import Counter
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from .records import Session, kept, merge, read_session, session_folders

_STAMP = re.compile(r'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ')
# Of mmdeepkd's summary at the start; of MMEngine's environment.
_VERSIONS = re.compile(r'versions\s+(\S.*)')
_PACKAGE = re.compile(r'\s+(PyTorch|MMEngine): (\S+)')


class LogFacts(NamedTuple):
    """What the text logs tell."""

    versions: str
    # From the first to the last line, over the sessions that count.
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
    # Why there is no config.
    config_error: str = ''


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
    folders = session_folders(folder)
    if not folders:
        raise FileNotFoundError(_no_run(folder))
    sessions = [read_session(each) for each in folders]
    # Those that validated alone, or that were begun anew, do not count.
    trained = [each for each, counts in zip(folders, kept(sessions))
               if counts] or folders[-1:]
    config = _config_file(trained)
    cfg, error = _read_config(config) if config else (None, '')
    return Run(name, folder, merge(sessions), _read_logs(trained),
               _config_name(folder, config), cfg, _checkpoint(folder), error)


def _config_file(sessions: Sequence[Path]) -> Optional[Path]:
    """Return what MMEngine resolved, of the last session that has it.

    The files beside the sessions may be anybody's: they are never executed.
    """
    files = [each / 'vis_data' / 'config.py' for each in sessions]
    return next((file for file in reversed(files) if file.is_file()), None)


def _config_name(folder: Path, config: Optional[Path]) -> str:
    """Return how the config was called: MMEngine copies it under its name."""
    text = config.read_bytes() if config else b''
    return max(((file.read_bytes() == text, file.stat().st_mtime, file.name)
                for file in folder.glob('*.py')), default=('',))[-1]


def _read_config(path: Path) -> Tuple[Optional[Config], str]:
    """Return the config, or why it cannot be read."""
    # It is code that imports packages, here perhaps missing or others: it may
    # raise anything, and only the detections need it.
    try:
        return Config.fromfile(path), ''
    except Exception as error:
        return None, f'{type(error).__name__}: {error}'


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
