"""The JSON lines that a training writes, over all its sessions.

A session is one start of a training: a folder named after the time. A resumed
training has several.
"""
import json
import math
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

Record = Dict[str, float]

#: Before the values that GSNRHook reports.
STREAM_VALUES = ('gsnr/', 'gsnr_smooth/', 'grad_norm/', 'grad_ratio/',
                 'grad_cosine/', 'stream_loss/', 'momentum/')
SCALARS = 'vis_data/scalars.json'
STREAMS = 'streams.jsonl'


class Session(NamedTuple):
    """What was logged; every record has the number of iterations, ``iter``."""

    train: List[Record]
    # Their ``step`` is an epoch or an iteration, as the run counts.
    val: List[Record]
    streams: List[Record]
    # How many lines could not be read.
    broken: int


def session_folders(work_dir: Path) -> List[Path]:
    """Return the folders of a work directory's sessions, in their order."""
    found = {path.parents[1] for path in work_dir.glob(f'*/{SCALARS}')}
    found |= {path.parent for path in work_dir.glob(f'*/{STREAMS}')}
    return sorted(found)


def read_session(folder: Path) -> Session:
    """Read what one session has logged so far."""
    session = Session([], [], [], 0)
    broken = 0
    reported: List[Record] = []
    for record in _read_lines(folder / SCALARS):
        if record is None:
            broken += 1
        elif any(key.startswith(STREAM_VALUES) for key in record):
            reported.append({'iter': record.get('step', 0), **record})
        elif 'iter' in record:
            session.train.append(record)
        else:
            done = session.train[-1]['iter'] if session.train else 0
            # An epoch is never larger than the iterations in it.
            session.val.append(
                {**record, 'iter': max(done, record.get('step', 0))})
    for record in _read_lines(folder / STREAMS):
        if record is None or 'iter' not in record:
            broken += 1
        else:
            session.streams.append(record)
    # The visualizer had the same reports.
    session.streams.extend([] if session.streams else reported)
    return session._replace(broken=broken)


def merge(sessions: Sequence[Session]) -> Session:
    """Join the sessions of a training.

    A resumed training repeats what came after its checkpoint: from its first
    iteration on a later session replaces the earlier ones. Sessions that only
    validated are left out.

    Args:
        sessions: In the order in which they were started.
    """
    merged = Session([], [], [], sum(s.broken for s in sessions))
    for session in sessions:
        begin = _begin(session)
        if begin is None:
            continue
        for old in merged[:3]:
            old[:] = [r for r in old if r['iter'] < begin]
        done = max((r['iter'] for r in merged.train), default=0)
        merged.train.extend(session.train)
        merged.streams.extend(session.streams)
        # A validation may come before the first line of a resumed training.
        merged.val.extend({**r, 'iter': max(done, r['iter'])}
                          for r in session.val)
    return merged


def kept(sessions: Sequence[Session]) -> List[bool]:
    """Return of which sessions :func:`merge` keeps anything.

    Args:
        sessions: In the order in which they were started.
    """
    found: List[bool] = []
    later = math.inf
    for begin in map(_begin, reversed(sessions)):
        found.append(begin is not None and begin < later)
        later = min(later, math.inf if begin is None else begin)
    return found[::-1]


def _begin(session: Session) -> Optional[float]:
    """Return the first iteration that was logged; None if none was."""
    return min((r['iter'] for r in session.train + session.streams),
               default=None)


def _read_lines(file: Path) -> Iterator[Optional[Record]]:
    """Yield the numbers of every line; None for a line that is no record."""
    if not file.is_file():
        return
    with file.open(encoding='utf-8', errors='replace') as lines:
        for line in lines:
            if line.strip():
                yield _parse(line)


def _parse(line: str) -> Optional[Record]:
    try:
        values: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    # MMEngine's log_with_hierarchy writes train/loss.
    return {
        _plain_name(name): value for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _plain_name(name: str) -> str:
    prefix, _, rest = name.partition('/')
    return rest if rest and prefix in ('train', 'val') else name
