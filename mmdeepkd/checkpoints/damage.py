"""What is wrong with a file that is no readable checkpoint."""
import zipfile
from typing import BinaryIO

ZIP_START = b'PK\x03\x04'
# The pickled number that files in torch's old format begin with.
_OLD_START = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_AGAIN = 'download or save it again'

_STARTS = (
    ((b'<!doctype', b'<html', b'<?xml'),
     'is a web page, not a checkpoint: its link leads to a page (of an error, '
     'a log-in or a repository); download the file itself'),
    ((b'version https://git-lfs', ),
     'is a git-lfs pointer, not the file itself: run "git lfs pull" in its '
     'repository'),
    ((b'\x1f\x8b', b'BZh', b'\xfd7zXZ', b'7z\xbc\xaf'),
     'is a compressed archive: unpack it, and give the checkpoint in it'),
)


def describe_damage(stream: BinaryIO) -> str:
    """Say what a file is that could not be read as a checkpoint.

    Args:
        stream: The file, at its start.

    Returns:
        The rest of a sentence whose subject is the file: what is wrong, and
        what to do.
    """
    start = stream.read(512)
    text = start.lstrip().lower()
    for starts, message in _STARTS:
        if text.startswith(starts):
            return message
    if not start:
        return f'is empty: {_AGAIN}'
    if start.startswith(ZIP_START):
        if zipfile.is_zipfile(stream):
            return ('is a zip archive, but damaged or not written by '
                    f'torch.save: {_AGAIN}')
        return f'is cut off, its end is missing: {_AGAIN}'
    if start.startswith(_OLD_START):
        return f'is damaged, perhaps cut off: {_AGAIN}'
    if start[8:9] == b'{':
        return ('is a safetensors file, not a checkpoint: convert it with '
                'torch.save(safetensors.torch.load_file(file), new_file)')
    if _is_text(start):
        return ('is a text file, not a checkpoint: give the file that '
                'torch.save wrote')
    return ('is no checkpoint, or is damaged: give the file that torch.save '
            f'wrote, or {_AGAIN}')


def _is_text(start: bytes) -> bool:
    # Possibly cut in the middle of a character.
    text = start.decode('utf-8', errors='ignore')
    return len(text.encode()) > len(start) - 4 and all(
        c.isprintable() or c.isspace() for c in text)
