"""Checkpoint files as torch writes them, and as no honest program would."""
import io
import pickle
import struct
import zipfile

import torch

# What a file in torch's old format begins with.
_MAGIC = 0x1950a86a20f9469cfc6c
_OLD_START = b''.join(
    pickle.dumps(part, 2) for part in (_MAGIC, 1001, dict(
        protocol_version=1001, little_endian=True, type_sizes={})))


def save(path, value, legacy=False):
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def save_pickle(path, pickled, legacy=False):
    """Write a pickle of one's own as the checkpoint's content."""
    if legacy:
        path.write_bytes(_OLD_START + pickled + pickle.dumps([], 2))
    else:
        writer = torch._C.PyTorchFileWriter(str(path))
        writer.write_record('data.pkl', pickled, len(pickled))
        writer.write_end_of_file()
    return path


def save_torchscript(path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    return path


def save_hidden_torchscript(path):
    """A TorchScript archive that zipfile reads as something else.

    The offset in the last record leads torch to one directory; zipfile takes
    the other, which lies right before that record.
    """
    original = save_torchscript(path)
    packed = io.BytesIO()
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(
            packed, 'w') as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    raw = packed.getvalue()
    size, offset = struct.unpack('<II', raw[-10:-2])
    directory = raw[offset:offset + size]
    path.write_bytes(raw[:offset] + directory + directory.replace(
        b'constants.pkl', b'constantz.pkl') + raw[offset + size:])
    return path


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) + (() if state is None else (state, ))

    def __reduce__(self):
        return self.parts
