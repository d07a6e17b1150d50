"""DeepKD for MMEngine: distillation in gradient streams.

Importing the package is cheap and needs nothing: the registered components
are imported when a config (or ``mmdeepkd.<Name>``) first asks for one.
"""
import difflib
import importlib
from pathlib import Path
from typing import Any

__version__ = '0.1.0'

_ROOMS = {
    'ClassifierDistiller': 'mmdeepkd.classification',
    'DetectorDistiller': 'mmdeepkd.detection',
}
__all__ = ['__version__', 'config_path', *_ROOMS]


def config_path(name: str) -> str:
    """Return the path of a shipped config, for use as a ``_base_``.

    Args:
        name: Path below ``configs/``, such as
            ``'coco/deepkd_frcnn_r101_r18.py'``.

    Returns:
        The absolute path of the config inside the installed package.

    Raises:
        FileNotFoundError: There is no such config; the message names the
            closest ones.

    Example:
        >>> # in a config of your own, in any folder
        >>> _base_ = [__import__('mmdeepkd').config_path(
        ...     'coco/deepkd_frcnn_r101_r18.py')]
    """
    root = Path(__file__).resolve().parent / '.mim' / 'configs'
    path = root / name
    if path.is_file():
        return str(path)
    known = sorted(p.relative_to(root).as_posix() for p in root.rglob('*.py'))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known
    raise FileNotFoundError(
        f'mmdeepkd ships no config {name!r}; did you mean one of '
        f'{", ".join(close)}?')


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(importlib.import_module(_ROOMS[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
