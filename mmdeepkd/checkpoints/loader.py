"""MMEngine's checkpoint loaders, of every scheme, through the safe reader.

Importing this module registers them in the place of MMEngine's own. Their
names begin with ``load_from_``: MMEngine logs the rest, "by http backend".
"""
import difflib
import io
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict

from mmengine.fileio import get_file_backend
from mmengine.runner import checkpoint as mmengine_loaders
from mmengine.runner.checkpoint import CheckpointLoader

from .download import read_url
from .reading import read_checkpoint
from .tensors import tensors_of


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local checkpoint file for MMEngine.

    Args:
        filename: Path.
        map_location: As for ``torch.load``.

    Returns:
        What :func:`read_checkpoint` returns.
    """
    return read_checkpoint(Path(filename).expanduser(), map_location)


@CheckpointLoader.register_scheme(
    prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from the web; see :func:`read_url`.

    Args:
        filename: URL.
        map_location: As for ``torch.load``.
    """
    return read_url(filename, map_location)


@CheckpointLoader.register_scheme(
    prefixes=('modelzoo://', 'torchvision://'), force=True)
def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load the weights of one of torchvision's models.

    Args:
        filename: Such as ``torchvision://resnet50``.
        map_location: As for ``torch.load``.
    """
    return read_url(
        _lookup(filename, mmengine_loaders.get_torchvision_models()),
        map_location)


@CheckpointLoader.register_scheme(
    prefixes=('open-mmlab://', 'openmmlab://'), force=True)
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load the weights of one of the models that OpenMMLab lists.

    Args:
        filename: Such as ``open-mmlab://detectron2/resnet50_caffe``.
        map_location: As for ``torch.load``.
    """
    scheme, name = filename.split('://', 1)
    renamed = mmengine_loaders.get_deprecated_model_names()
    url = _lookup(f'{scheme}://{renamed.get(name, name)}',
                  mmengine_loaders.get_external_models())
    if url.startswith(('http://', 'https://')):
        return read_url(url, map_location)
    # The user's own open_mmlab.json may name files beside it.
    return read_checkpoint(
        Path(mmengine_loaders._get_mmengine_home()) / url, map_location)


@CheckpointLoader.register_scheme(prefixes='mmcls://', force=True)
def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Load the backbone of one of MMClassification's models.

    Args:
        filename: Such as ``mmcls://mobilenet_v2``.
        map_location: As for ``torch.load``.

    Returns:
        A dict with the ``state_dict`` of the backbone alone.
    """
    loaded = read_url(
        _lookup(filename, mmengine_loaders.get_mmcls_models()), map_location)
    start = 'backbone.'
    state = tensors_of(loaded, filename)
    return dict(state_dict=OrderedDict(
        (key[len(start):], value) for key, value in state.items()
        if key.startswith(start)))


@CheckpointLoader.register_scheme(
    prefixes=[r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], force=True)
def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from a Ceph store by its petrel client.

    Args:
        filename: Such as ``s3://bucket/epoch_12.pth``.
        map_location: As for ``torch.load``.
    """
    backend = get_file_backend(filename, backend_args=dict(backend='petrel'))
    return read_checkpoint(
        io.BytesIO(backend.get(filename)), map_location, filename)


@CheckpointLoader.register_scheme(prefixes='pavi://', force=True)
def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Refuse a ``pavi://`` address, whose client nobody can install.

    Args:
        filename: The address.
        map_location: Not used.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(
        f'{filename} cannot be loaded: mmdeepkd does not read pavi://; '
        'download the file and give its path.')


def _lookup(address: str, urls: Dict[str, str]) -> str:
    """Return the URL of a named model."""
    name = address.split('://', 1)[1]
    if name in urls:
        return urls[name]
    close = difflib.get_close_matches(name, urls, n=3)
    hint = f'did you mean {", ".join(close)}?' if close else (
        'give the URL of the file instead.')
    raise KeyError(f'{address} is not among the models that MMEngine knows; '
                   f'{hint}')
