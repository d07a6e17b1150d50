"""Checkpoints from the web, kept where torch.hub keeps them."""
import hashlib
import http.client
import io
import logging
import os
import re
import socket
import sys
import urllib.error
import uuid
import zipfile
from pathlib import Path
from typing import Any, Union
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from .reading import read_checkpoint

# urllib raises some errors as its own and passes others on.
_NO_DOWNLOAD = (urllib.error.URLError, http.client.HTTPException,
                ConnectionError, TimeoutError, socket.timeout)
# The hash of the content that torch.hub wants in a name, such as
# resnet50-0676ba61.pth. It has a letter: a date has none.
_HASHED = re.compile(r'-(?=[0-9]*[a-f])[0-9a-f]{8,}\.')


def read_url(url: str, map_location: Any = None) -> Any:
    """Read a checkpoint from the web, downloading it if need be.

    The file is kept where ``torch.hub`` and MMEngine look for it. There it
    gets its name only when it is whole, and was read; what is refused is not
    kept. A name that does not end in the hash of the content, as OpenMMLab's
    and torchvision's do, gets a hash of the URL, so that two files that are
    called ``best.pth`` are not taken for each other. The first process of
    each machine downloads, the others wait.

    Args:
        url: URL that begins with ``http://`` or ``https://``.
        map_location: As for ``torch.load``.

    Returns:
        What :func:`read_checkpoint` returns.

    Raises:
        ConnectionError: The download failed.
        UnsafeCheckpointError: As of :func:`read_checkpoint`.
        RuntimeError: As of :func:`read_checkpoint`.
    """
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    folder.mkdir(parents=True, exist_ok=True)
    cached = _cached(url, folder)
    first = int(os.environ.get('LOCAL_RANK', get_rank())) == 0
    try:
        if first:
            return _read(url, cached, map_location)
    finally:
        # After a failure too: the others would wait for ever.
        barrier()
    return _read(url, cached, map_location)


def _cached(url: str, folder: Path) -> Path:
    """Return where a URL's file is or will be kept."""
    plain = folder / os.path.basename(urlparse(url).path)
    if _HASHED.search(plain.name):
        return plain
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    own = plain.with_name(f'{plain.stem}-of-{digest}{plain.suffix}')
    if own.is_file() or not plain.is_file():
        return own
    print_log(
        f'{plain} is taken for {url}, by its name alone: another program put '
        'it there. If it may be from elsewhere, delete it.', 'current',
        logging.WARNING)
    return plain


def _read(url: str, cached: Path, map_location: Any) -> Any:
    if cached.is_file():
        print_log(f'{url} was downloaded before, to {cached}.', 'current')
        name = f'{url} (kept in {cached}: delete that to download it again)'
        return read_checkpoint(_unpacked(cached), map_location, name)
    print_log(f'Downloading {url} to {cached}', 'current')
    # One of its own for each process: of several, the last one stays.
    partial = cached.with_name(f'{cached.name}.{uuid.uuid4().hex}.partial')
    try:
        _download(url, partial, cached)
        value = read_checkpoint(_unpacked(partial), map_location, url)
        os.replace(partial, cached)
    finally:
        if partial.exists():
            partial.unlink()
    return value


def _download(url: str, target: Path, cached: Path) -> None:
    try:
        torch.hub.download_url_to_file(
            url, str(target), progress=sys.stderr.isatty())
    except _NO_DOWNLOAD as error:
        reason = str(getattr(error, 'reason', None) or error)
        if isinstance(error, urllib.error.HTTPError):
            reason = f'the server answered {error.code} ({reason})'
        raise ConnectionError(
            f'{url} could not be downloaded: {reason}; check the URL and the '
            'network, or download the file elsewhere and put it at '
            f'{cached}.') from error


def _unpacked(path: Path) -> Union[Path, io.BytesIO]:
    """Unpack a zip archive of a single file, as torch.hub does."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
            if len(files) == 1 and not files[0].is_dir():
                return io.BytesIO(archive.read(files[0]))
    return path
