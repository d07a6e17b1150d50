"""The shipped configs, each read once."""
import functools
from pathlib import Path
from typing import Tuple

from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
METHODS = ('baseline', 'teacher', 'kd', 'lskd', 'dkd', 'dkdmod', 'gdkd',
           'gdkd3', 'dist', 'dot', 'mlkd', 'crld', 'deepkd')


def split_name(name: str) -> Tuple[str, Tuple[str, ...], str]:
    """Return the folder, the words of the method and the networks.

    Args:
        name: Path below ``configs/``, such as
            ``'cifar100/deepkd_dkd_vgg13_vgg8.py'``.

    Example:
        >>> split_name('cifar100/deepkd_dkd_vgg13_vgg8.py')
        ('cifar100', ('deepkd', 'dkd'), 'vgg13_vgg8')
    """
    folder, stem = name[:-len('.py')].split('/')
    words = stem.split('_')
    count = next(i for i, word in enumerate(words) if word not in METHODS)
    return folder, tuple(words[:count]), '_'.join(words[count:])


def _networks_first(name: str) -> Tuple[str, str, Tuple[str, ...]]:
    folder, method, networks = split_name(name)
    return folder, networks, method


#: All configs to train with, the methods of the same networks side by side.
LEAVES = sorted((path.relative_to(CONFIGS).as_posix()
                 for path in CONFIGS.rglob('*.py')
                 if '_base_' not in path.parts), key=_networks_first)

DISTILLING = [name for name in LEAVES
              if split_name(name)[1][0] not in ('baseline', 'teacher')]


@functools.lru_cache(maxsize=None)
def shipped(name: str) -> Config:
    """Return a config, not to be changed.

    Args:
        name: Path below ``configs/``.
    """
    return Config.fromfile(CONFIGS / name)
