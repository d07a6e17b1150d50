"""The shipped configs, each read once, and the models that they build."""
import copy
import functools
from pathlib import Path
from typing import Any, List, Tuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmdeepkd.distillers import resolve_model_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
METHODS = ('baseline', 'teacher', 'kd', 'lskd', 'dkd', 'dkdmod', 'gdkd',
           'gdkd3', 'dist', 'dot', 'mlkd', 'crld', 'deepkd', 'diffkd')


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
#: Those of them that compare features, alone or beside the logits.
OF_FEATURES = [name for name in DISTILLING if 'diffkd' in split_name(name)[1]]
#: Those that compare logits alone, by one loss.
OF_LOGITS = [name for name in DISTILLING if name not in OF_FEATURES]


@functools.lru_cache(maxsize=None)
def shipped(name: str) -> Config:
    """Return a config, not to be changed.

    Args:
        name: Path below ``configs/``.
    """
    return Config.fromfile(CONFIGS / name)


def losses_of(cfg: Config) -> List[ConfigDict]:
    """Return the configs of the distillation losses."""
    losses = cfg.model.losses
    return losses if isinstance(losses, list) else [losses]


def build(model: ConfigDict, scope: str) -> Any:
    """Build a model in the scope of its config."""
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def calm(model: nn.Module) -> None:
    """Let activations not grow from block to block, as trained ones do not.

    With random weights and untrained statistics each residual block adds to
    them, a hundred layers to millions.

    Args:
        model: Its BatchNorms are changed.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 0.5)


class Teachers:
    """Writes the random weights of a teacher, once per teacher.

    Args:
        folder: The files go here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = {}

    def model_of(self, cfg: Config) -> ConfigDict:
        """Return the model's config, a copy, as the Runner completes it."""
        model = copy.deepcopy(cfg.model)
        if 'data_preprocessor' in cfg:
            model.setdefault(
                'data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
        if 'teacher' in model:
            assert model.teacher_checkpoint.endswith('.pth')
            model.teacher_checkpoint = self._write(
                model.teacher, cfg.default_scope)
        return model

    def _write(self, config: Any, scope: str) -> str:
        key = str(config)
        if key not in self._written:
            model = build(resolve_model_config(config, 'teacher'), scope)
            calm(model)
            path = self._folder / f'{len(self._written)}.pth'
            torch.save(dict(state_dict=model.state_dict()), path)
            self._written[key] = str(path)
        return self._written[key]
