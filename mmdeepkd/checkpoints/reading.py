"""Reading a checkpoint: safely, or with a sentence that says why not."""
import functools
import io
import logging
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.logging import print_log

from .damage import ZIP_START, describe_damage
from .trusted import VARIABLE, how_to_trust, is_trusted
from .unpickler import RESTRICTED_PICKLE
from .unsafe import UnsafeCheckpointError

_File = Union[Path, io.BytesIO]

# What torch's and pickle's readers raise on bytes that are no checkpoint.
_DAMAGE = (ArithmeticError, AssertionError, AttributeError, EOFError,
           LookupError, RuntimeError, TypeError, ValueError,
           pickle.UnpicklingError, struct.error)

# What torch says of a tensor whose device this machine does not have.
_NO_DEVICE = 'Attempting to deserialize object on'
_TORCHSCRIPT = ('is a TorchScript archive, not a checkpoint: save a '
                'state_dict instead')
# What it says of a tensor that is larger than the memory.
_NO_MEMORY = "can't allocate memory"
# With it torch.load refuses to use any unpickler but its own.
_FORCED = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def read_checkpoint(file: Union[str, Path, io.BytesIO],
                    map_location: Any = 'cpu',
                    name: Optional[str] = None) -> Any:
    """Read a checkpoint that holds tensors, containers and log histories.

    A file that asks for more is refused, unless the user vouches for it: the
    environment variable ``MMDEEPKD_TRUSTED_FILES`` may list the SHA-256
    hashes of files, separated by commas. A refusal names the file's hash.

    Args:
        file: Path, or a buffer.
        map_location: As for ``torch.load``.
        name: What messages call the file; by default its path.

    Returns:
        What was saved.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
        UnsafeCheckpointError: The file asks for any other class or function;
            the message names it, and nothing of it has been run.
        MemoryError: It is larger than the memory.
        RuntimeError: It is no checkpoint, or damaged, or for a device that is
            not there; or torch is told to use its own unpickler alone.
    """
    if not isinstance(file, io.BytesIO):
        file = Path(file)
        _check_path(file)
        name = name or str(file)
    name = name or 'the given buffer'
    if os.environ.get(_FORCED, '').lower() in ('1', 'y', 'yes', 'true'):
        raise RuntimeError(
            f'{name} was not read: the environment variable {_FORCED} forbids '
            'mmdeepkd its own reader, which runs no code of a file either; '
            'unset it.')
    try:
        return _read(file, map_location, name)
    except UnsafeCheckpointError as error:
        return _read_if_trusted(file, map_location, name, error)
    except torch.cuda.OutOfMemoryError:
        raise
    except (MemoryError, *_DAMAGE) as error:
        if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
            raise MemoryError(
                f'{name} needs more memory than there is, or is damaged: '
                'free some, or try it on a larger machine.') from error
        raise RuntimeError(_diagnosis(file, name, error)) from error


def _check_path(path: Path) -> None:
    """Raise unless there is such a file."""
    if path.is_dir():
        files = sorted(path.glob('*.pth'), key=lambda p: p.stat().st_mtime)
        newest = f', such as {files[-1].name}' if files else ''
        raise IsADirectoryError(f'{path} is a folder, not a checkpoint: give '
                                f'the path of a file in it{newest}.')
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no checkpoint {path}: correct the path, which begins '
            f'at {Path.cwd()} if it is relative.')


def _read(file: _File, map_location: Any, name: str) -> Any:
    """Read a file, or raise whatever torch or the unpickler does."""
    sizes = {}
    reader = _zip_reader(file)
    if reader is not None:
        if 'constants.pkl' in reader.get_all_records():
            # Which torch.load would run.
            raise RuntimeError(_TORCHSCRIPT)
        sizes['record_size'] = functools.lru_cache(maxsize=None)(
            lambda record: len(reader.get_record(record)))
    elif _is_tar(file):
        raise pickle.UnpicklingError('it is a tar archive, as torch 0.1 wrote')
    # Torch >= 2.12 leaves the indices of sparse tensors unchecked otherwise.
    with torch.sparse.check_sparse_tensor_invariants():
        return torch.load(
            file,
            map_location=map_location,
            weights_only=False,
            pickle_module=RESTRICTED_PICKLE,
            **sizes)


def _zip_reader(file: _File) -> Any:
    """Return torch's own reader of a zip archive, or None for another file.

    The zipfile module may see other records in a file that was made to
    deceive it.
    """
    if isinstance(file, io.BytesIO):
        start = file.getvalue()[file.tell():][:len(ZIP_START)]
    else:
        with open(file, 'rb') as stream:
            start = stream.read(len(ZIP_START))
    if start != ZIP_START:
        return None
    if not isinstance(file, io.BytesIO):
        return torch._C.PyTorchFileReader(str(file))
    position = file.tell()
    reader = torch._C.PyTorchFileReader(file)
    file.seek(position)
    return reader


def _is_tar(file: _File) -> bool:
    """Return whether torch.load would take apart a tar archive."""
    if isinstance(file, io.BytesIO):
        # It does so with files on disk only.
        return False
    try:
        tarfile.open(file, 'r:').close()
    except tarfile.TarError:
        return False
    return True


def _read_if_trusted(file: _File, map_location: Any, name: str,
                     error: UnsafeCheckpointError) -> Any:
    """Read a file with all it asks for, if the user vouches for it."""
    content = file.getvalue() if isinstance(
        file, io.BytesIO) else file.read_bytes()
    if not is_trusted(content):
        raise UnsafeCheckpointError(
            f'{name} was not loaded: {error}, which a checkpoint of tensors '
            'does not need and which could run code; use a file saved as a '
            'state_dict or, if you vouch for this very file, set the '
            f'environment variable {how_to_trust(content)}.') from None
    print_log(
        f'{name} is loaded although {error}, which could run code: '
        f'{VARIABLE} lists it.', 'current', logging.WARNING)
    # What was hashed, not the file, which may change in between.
    return torch.load(
        io.BytesIO(content), map_location=map_location, weights_only=False)


def _diagnosis(file: _File, name: str, error: Exception) -> str:
    """Say what is wrong with a file that was not read."""
    detail = str(error) or type(error).__name__
    if detail == _TORCHSCRIPT:
        return f'{name} {_TORCHSCRIPT}.'
    if detail.startswith(_NO_DEVICE):
        return (f'{name} holds tensors of a device that this machine does '
                "not have: load it with map_location='cpu'.")
    if isinstance(file, io.BytesIO):
        message = describe_damage(io.BytesIO(file.getvalue()))
    else:
        with open(file, 'rb') as stream:
            message = describe_damage(stream)
    return f'{name} {message} ({detail}).'
