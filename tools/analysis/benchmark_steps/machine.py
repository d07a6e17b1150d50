"""Where and with what was measured."""
import platform
import re
from importlib.metadata import version
from typing import Dict

import torch

from ...bench_steps.machine import commit, describe_machine
from .nets import ROOT

_PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain')


def describe(device: str, rounds: int) -> Dict[str, str]:
    """Return what a reader needs to judge the numbers.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Asked for on the command line; long sections take fewer.
    """
    machine = re.sub(', no GPU used$', '', describe_machine())
    if device == 'cuda':
        machine += f'; {torch.cuda.get_device_name()}'
    return {
        'Machine': machine,
        'Device': f'{device}, {torch.get_num_threads()} threads',
        'Versions': f'Python {platform.python_version()}, ' + ', '.join(
            f'{name} {version(name)}' for name in _PACKAGES),
        'Commit': commit(ROOT),
        'Rounds': f'at most {rounds}; medians and quartiles; ratios are taken '
        'round by round',
    }
