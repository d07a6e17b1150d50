"""Checkpoint files that survive a kill, and finding the one to resume."""
import logging
import os
import pickle
import platform
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Union

from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from mmdeepkd.checkpoints import read_checkpoint

#: MMEngine's file in a work_dir that names the checkpoint to resume.
LAST_CHECKPOINT = 'last_checkpoint'

# Nobody else's files end so: those that a killed run left may be deleted.
_DRAFT = '.mmdeepkd-draft'

# Seconds after which nobody is still writing a file.
_ABANDONED = 24 * 3600


@contextmanager
def replacing(path: Union[str, Path]) -> Iterator[Path]:
    """Write a file under another name; give it its own when it is whole.

    Whenever the process is killed, ``path`` is the old file or the new one,
    on the disk too.

    Args:
        path: The file to create or replace.

    Yields:
        The name to write to, in the same folder.

    Raises:
        OSError: The file could not be written; the old one is untouched.

    Example:
        >>> with replacing('epoch_1.pth') as draft:
        ...     torch.save(checkpoint, draft)
    """
    path = Path(path)
    # Another process has another draft, even of the same file.
    draft = path.with_name(
        f'.{path.name}.{platform.node()}.{os.getpid()}{_DRAFT}')
    try:
        yield draft
        _to_disk(draft)
        os.replace(draft, path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            draft.unlink()
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno,
            f'{path} could not be written ({error}); what was there before '
            'is untouched: make room for it and resume the run.') from error
    # Not every file system can; the new name is then written a little later.
    with suppress(OSError):
        _to_disk(path.parent)


def remove_drafts(folder: Union[str, Path]) -> None:
    """Delete what runs that were killed while writing left in a folder.

    That is what no living process of this machine writes; of another machine,
    of which nothing is known, what has not been written to for a day.

    Args:
        folder: Folder; one that does not exist has no drafts.
    """
    for draft in Path(folder).glob(f'.*{_DRAFT}'):
        # Another run that starts may delete it first.
        with suppress(FileNotFoundError):
            age = time.time() - draft.stat().st_mtime
            if age > _ABANDONED or _writer_is_gone(draft):
                draft.unlink()


def _writer_is_gone(draft: Path) -> bool:
    """Return whether the process that a draft's name tells was ours, once."""
    name, _, process = draft.name[:-len(_DRAFT)].rpartition('.')
    if not name.endswith(f'.{platform.node()}') or not process.isdigit():
        return False
    if int(process) == os.getpid():
        # In a container each start may get the number of the last one.
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # It is another user's.
        return False
    return False


def is_local(path: str, backend_args: Optional[Dict[str, Any]] = None) -> bool:
    """Return whether MMEngine writes to a path through the file system.

    Args:
        path: Path or URI.
        backend_args: As for MMEngine's ``get_file_backend``.
    """
    return isinstance(
        get_file_backend(path, backend_args=backend_args), LocalBackend)


def latest_checkpoint(work_dir: Union[str, Path]) -> Optional[str]:
    """Find the checkpoint from which a run continues.

    As MMEngine's ``find_latest_checkpoint``, but where the file that
    ``last_checkpoint`` names is missing or cut off (the work_dir was moved,
    or plain MMEngine was killed while it saved) the newest whole checkpoint
    takes its place, and the log says so.

    Args:
        work_dir: The run's folder.

    Returns:
        Path or URI, or None if no run has saved there.

    Raises:
        RuntimeError: There should be a checkpoint, and none is whole.
    """
    folder = Path(work_dir)
    named = _named_checkpoint(folder)
    if named and (not is_local(named) or zipfile.is_zipfile(named)):
        return named
    found = _newest_whole(folder, Path(named or folder / '_'))
    if found is None and named is None:
        return None
    state = 'is missing or empty' if not named else (
        f'names {named}, which is '
        f'{"damaged" if Path(named).exists() else "not there"}')
    if found is None:
        raise RuntimeError(
            f'{folder / LAST_CHECKPOINT} {state}, and no other checkpoint of '
            'a run there is whole: start afresh in another work_dir, or '
            'remove that file.')
    print_log(
        f'{folder / LAST_CHECKPOINT} {state}: the run continues from the '
        f'newest whole checkpoint, {found}.', 'current', logging.WARNING)
    return str(found)


def noted_name(checkpoint: Any) -> Optional[str]:
    """Return the file name that a run gave the checkpoint it resumes from.

    A run notes the name of its latest checkpoint in that checkpoint; its best
    ones, saved apart, carry the same note, and other programs' files none.

    Args:
        checkpoint: What was read from a file.
    """
    try:
        return Path(
            checkpoint['message_hub']['runtime_info']['last_ckpt']).name
    except (KeyError, TypeError, IndexError):
        return None


def _named_checkpoint(folder: Path) -> Optional[str]:
    """Return what last_checkpoint names, None if there is no such file."""
    file = folder / LAST_CHECKPOINT
    return file.read_text().strip() if file.is_file() else None


def _newest_whole(folder: Path, named: Path) -> Optional[Path]:
    files = {*folder.glob('*.pth'), *named.parent.glob('*.pth')}
    # The named one first: a copy of a folder may be younger than a later file.
    newest_first = sorted(
        files,
        key=lambda file: (file.name == named.name, file.stat().st_mtime),
        reverse=True)
    return next(filter(_is_whole, newest_first), None)


def _is_whole(file: Path) -> bool:
    """Return whether a run saved this file, to be resumed, completely."""
    try:
        checkpoint = read_checkpoint(file)
    except (OSError, RuntimeError, pickle.UnpicklingError):
        return False
    return noted_name(checkpoint) == file.name


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
