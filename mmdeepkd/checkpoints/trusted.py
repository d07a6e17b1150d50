"""Files that the user vouches for, each by the hash of its content.

A hash, not a path or URL: it means the same file from whatever source, and a
file that is exchanged later is not trusted any more.
"""
import hashlib
import os
from typing import List

VARIABLE = 'MMDEEPKD_TRUSTED_FILES'


def how_to_trust(content: bytes) -> str:
    """Say how to vouch for a file, too; see :func:`is_trusted`."""
    return f'{VARIABLE}={",".join([*_listed(), _digest(content)])}'


def is_trusted(content: bytes) -> bool:
    """Whether the user vouches for a file that is not plain data.

    The environment variable ``MMDEEPKD_TRUSTED_FILES`` lists the SHA-256 of
    such files in hexadecimal digits, separated by commas.

    Args:
        content: The whole file.
    """
    return _digest(content) in _listed()


def _listed() -> List[str]:
    entries = os.environ.get(VARIABLE, '').split(',')
    return [entry.strip().lower() for entry in entries if entry.strip()]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
