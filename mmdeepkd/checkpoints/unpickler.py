"""Reading checkpoints without running code that is hidden in them.

``torch.load`` without ``weights_only`` runs whatever a file asks for, and
with it torch >= 2.6 refuses the files MMEngine itself writes (they hold log
histories and numpy numbers) and torch 2.1 even a scheduler's ``Counter``. The
unpickler here admits tensors, plain containers and those few harmless
classes, on every torch version, and refuses anything else by name.
"""
import io
import pickle
import struct
import types
from pathlib import Path
from typing import Any, BinaryIO, Union

import torch

from .admitted import UnsafeCheckpointError, admitted_global, set_state

_ZIP_START = b'PK\x03\x04'

# What torch's and pickle's readers raise on bytes that are no checkpoint.
_DAMAGE = (ArithmeticError, AssertionError, AttributeError, EOFError,
           LookupError, MemoryError, RuntimeError, TypeError, ValueError,
           pickle.UnpicklingError, struct.error)


class _RestrictedUnpickler(pickle._Unpickler):
    """Python's own unpickler in Python: in C one cannot override BUILD."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        return admitted_global(module, name)

    def load_build(self) -> None:
        # Python's BUILD sets any attribute of any object, of classes too.
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    dispatch[pickle.BUILD[0]] = load_build


def _load(file: BinaryIO, **kwargs: Any) -> Any:
    return _RestrictedUnpickler(file, **kwargs).load()


# What torch.load wants as a pickle module.
_PICKLE_MODULE = types.SimpleNamespace(
    __name__='mmdeepkd.checkpoints.unpickler',
    Unpickler=_RestrictedUnpickler,
    load=_load,
    UnpicklingError=pickle.UnpicklingError)


def read_checkpoint(file: Union[str, Path, io.BytesIO],
                    map_location: Any = 'cpu') -> Any:
    """Read a checkpoint that holds tensors, containers and log histories.

    Args:
        file: Path, or a buffer.
        map_location: As for ``torch.load``.

    Returns:
        What was saved.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: The file asks for any other class or function;
            the message names it, and nothing of it has been run.
        RuntimeError: It is no checkpoint, or damaged.
    """
    if not isinstance(file, io.BytesIO) and not Path(file).is_file():
        raise FileNotFoundError(f'there is no checkpoint {file}')
    name = 'the given buffer' if isinstance(file, io.BytesIO) else str(file)
    try:
        torchscript = _is_torchscript(file)
        value = None if torchscript else torch.load(
            file,
            map_location=map_location,
            weights_only=False,
            pickle_module=_PICKLE_MODULE)
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(
            f'{name} was not loaded: {error}, which a checkpoint of tensors '
            'does not need and which could run code; use a file from a source '
            'you trust, saved as a state_dict.') from None
    except _DAMAGE as error:
        raise RuntimeError(
            f'{name} is no checkpoint, or is damaged (download or save it '
            f'again): {str(error) or type(error).__name__}') from error
    if torchscript:
        raise RuntimeError(f'{name} is a TorchScript archive, not a '
                           'checkpoint: save a state_dict instead.')
    return value


def _is_torchscript(file: Union[str, Path, io.BytesIO]) -> bool:
    """Return whether torch.load would run the file as TorchScript."""
    if isinstance(file, io.BytesIO):
        start = file.getvalue()[file.tell():][:len(_ZIP_START)]
    else:
        with open(file, 'rb') as stream:
            start = stream.read(len(_ZIP_START))
    if start != _ZIP_START:
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
