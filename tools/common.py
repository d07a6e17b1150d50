"""What the tools that read a config share."""
import argparse
import contextlib
import io
import logging
import os
from pathlib import Path
from typing import Any, Iterator, List, Tuple

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmdeepkd.checkpoints  # noqa: F401  (files are read safely)

# Datasets of mmpretrain that are downloaded to data_root unless told not to.
DOWNLOADED = ('CIFAR10', 'CIFAR100', 'MNIST', 'FashionMNIST')


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every tool that reads a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value; lists as '
        'key="[a,b]", nested keys with dots')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that OpenMMLab's tools have in common."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how several processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the common options."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if not Path(args.config).is_file():
        raise SystemExit(f'there is no config {args.config}.')
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    return cfg


def check_datasets(cfg: Config, loaders: List[str]) -> None:
    """Stop with one sentence if a dataset's folder or file is missing."""
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get('dataset')
        for key, path in missing_paths(dataset, f'{loader}.dataset'):
            raise SystemExit(
                f'the dataset is not there: {path} ({key} of '
                f'{cfg.filename}). Put it there, or point to it with '
                f'--cfg-options {key}=PATH.')


def missing_paths(dataset: Any, key: str) -> Iterator[Tuple[str, str]]:
    """Yield (config key, path) of what a dataset reads and is not there."""
    for name, path in _dataset_paths(dataset, key):
        if '://' not in path and not Path(path).exists():
            yield name, path


def _dataset_paths(dataset: Any, key: str) -> Iterator[Tuple[str, str]]:
    """Yield (config key, path) of what a dataset, or those in it, reads."""
    # A file backend may map these paths to somewhere else.
    if not isinstance(dataset, dict) or dataset.get('backend_args'):
        return
    root = dataset.get('data_root') or ''
    name = str(dataset.get('type')).split('.')[-1]
    if dataset.get('download', name in DOWNLOADED):
        return
    if root:
        yield f'{key}.data_root', root
    annotations = dataset.get('ann_file')
    if isinstance(annotations, str) and annotations:
        yield f'{key}.ann_file', os.path.join(root, annotations)
    prefixes = dataset.get('data_prefix') or {}
    if isinstance(prefixes, str):
        yield f'{key}.data_prefix', os.path.join(root, prefixes)
        prefixes = {}
    for name, folder in prefixes.items():
        yield f'{key}.data_prefix.{name}', os.path.join(root, folder)
    yield from _dataset_paths(dataset.get('dataset'), f'{key}.dataset')
    for i, inner in enumerate(dataset.get('datasets') or []):
        yield from _dataset_paths(inner, f'{key}.datasets.{i}')


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config asks for."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


@contextlib.contextmanager
def quiet(least: int = logging.WARNING) -> Iterator[None]:
    """Silence what models, datasets and loaders of OpenMMLab tell.

    Args:
        least: The level from which on messages are shown all the same.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(least)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
