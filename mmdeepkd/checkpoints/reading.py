"""Reading a checkpoint: safely, or with a sentence that says why not."""
import io
import logging
import pickle
import struct
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.logging import print_log

from .admitted import UnsafeCheckpointError
from .damage import ZIP_START, describe_damage
from .trusted import VARIABLE, how_to_trust, is_trusted
from .unpickler import RESTRICTED_PICKLE

_File = Union[Path, io.BytesIO]

# What torch's and pickle's readers raise on bytes that are no checkpoint.
_DAMAGE = (ArithmeticError, AssertionError, AttributeError, EOFError,
           LookupError, MemoryError, RuntimeError, TypeError, ValueError,
           pickle.UnpicklingError, struct.error)

# What torch says of a tensor whose device this machine does not have.
_NO_DEVICE = 'Attempting to deserialize object on'


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
        RuntimeError: It is no checkpoint, or damaged, or for a device that is
            not there.
    """
    if not isinstance(file, io.BytesIO):
        file = Path(file)
        _check_path(file)
        name = name or str(file)
    name = name or 'the given buffer'
    try:
        torchscript = _is_torchscript(file)
        value = None if torchscript else torch.load(
            file,
            map_location=map_location,
            weights_only=False,
            pickle_module=RESTRICTED_PICKLE)
    except UnsafeCheckpointError as error:
        return _read_if_trusted(file, map_location, name, error)
    except torch.cuda.OutOfMemoryError:
        raise
    except _DAMAGE as error:
        raise RuntimeError(_diagnosis(file, name, error)) from error
    if torchscript:
        raise RuntimeError(f'{name} is a TorchScript archive, not a '
                           'checkpoint: save a state_dict instead.')
    return value


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


def _is_torchscript(file: _File) -> bool:
    """Return whether torch.load would run the file as TorchScript."""
    if isinstance(file, io.BytesIO):
        start = file.getvalue()[file.tell():][:len(ZIP_START)]
    else:
        with open(file, 'rb') as stream:
            start = stream.read(len(ZIP_START))
    if start != ZIP_START:
        return False
    # By torch's own reader: the zipfile module may see other records in a
    # file that was made to deceive it.
    if not isinstance(file, io.BytesIO):
        return 'constants.pkl' in torch._C.PyTorchFileReader(
            str(file)).get_all_records()
    position = file.tell()
    records = torch._C.PyTorchFileReader(file).get_all_records()
    file.seek(position)
    return 'constants.pkl' in records


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
    if detail.startswith(_NO_DEVICE):
        return (f'{name} holds tensors of a device that this machine does '
                "not have: load it with map_location='cpu'.")
    if isinstance(file, io.BytesIO):
        message = describe_damage(io.BytesIO(file.getvalue()))
    else:
        with open(file, 'rb') as stream:
            message = describe_damage(stream)
    return f'{name} {message} ({detail}).'
