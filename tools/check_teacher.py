"""Measure a config's teacher alone, beside the value the config expects.

    python tools/check_teacher.py configs/coco/deepkd_frcnn_r101_r18.py

The teacher is built and loaded as in training, and classifies the validation
images through its own preprocessor. Exits with 1 when it falls short. In a
config of one's own: teacher_metric = dict(name='coco/bbox_mAP', value=0.394),
the name and the unit being those that the evaluator prints.
"""
import argparse
import os
import sys
from typing import Any, Dict

from common import (
    add_config_arguments,
    build_runner,
    check_datasets,
    load_config,
)
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from teacher_steps.expected import read_expected, report
from torch import nn

from mmdeepkd.checkpoints import UnsafeCheckpointError

# What belongs to the student's training and would be built, or run, too.
_TRAINING = ('train_dataloader', 'train_cfg', 'optim_wrapper',
             'param_scheduler', 'auto_scale_lr', 'custom_hooks',
             'default_hooks', 'runner_type', 'load_from', 'visualizer')
_TESTING = ('test_dataloader', 'test_cfg', 'test_evaluator')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of a distillation')
    parser.add_argument(
        '--images',
        type=int,
        help='measure this many validation images, spread evenly over the '
        'set, instead of all; a shortfall within two standard errors is then '
        'accepted')
    parser.add_argument(
        '--tolerance',
        type=float,
        help='accepted shortfall in the unit of the metric, instead of the '
        "config's, of 0.005 (0.5 of a metric in per cent), and of that of "
        '--images')
    parser.add_argument(
        '--work-dir', help='folder for the log, instead of check_teacher in '
        "the run's")
    add_config_arguments(parser)
    return parser.parse_args()


def leave_out_training(cfg: Config) -> None:
    """Leave the validation in the config, and the models."""
    for key in (*_TRAINING, *_TESTING):
        cfg.pop(key, None)
    cfg.resume = False


def count_images(cfg: Config) -> int:
    """Return the number of validation images."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return len(DATASETS.build(cfg.val_dataloader.dataset))


def take_part(cfg: Config, images: int, total: int) -> None:
    """Take this many validation images, spread evenly over all.

    The first ones would be of few classes where a set is sorted by class, as
    ImageNet's is.
    """
    dataset = cfg.val_dataloader.dataset
    if images < 1:
        raise ValueError(f'--images must be at least 1, got {images}.')
    wrapped = {'dataset', 'datasets', 'indices'} & set(dataset)
    if wrapped:
        raise ValueError(
            f'--images cannot choose from val_dataloader.dataset, which has '
            f'`{wrapped.pop()}` already: leave --images out.')
    if images < total:
        dataset.indices = [i * total // images for i in range(images)]


def check_classes(cfg: Config, teacher: nn.Module, dataset: Any) -> None:
    """Raise unless the teacher's classes are those of the annotations."""
    classes = dataset.metainfo.get('classes')
    counts = [
        module.num_classes for module in teacher.modules()
        if isinstance(getattr(module, 'num_classes', None), int)
    ]
    if classes is None or not counts:
        return
    mapped = cfg.model.get('teacher_class_map') is not None
    # Of a detector's parts the RPN has one class.
    if mapped or max(counts) != len(classes):
        raise ValueError(
            f'the teacher has {max(counts)} classes and the validation set '
            f'{len(classes)}{", mapped by teacher_class_map" * mapped}, so '
            'that its predictions cannot be scored on it: evaluate it on the '
            'data it was trained on, with tools/test.py and its own config.')


def score_these_images_only(runner: Runner) -> None:
    """Let mmdet's COCO metrics ignore images that are left out.

    They would count as images on which nothing was found.
    """
    dataset = runner.val_loop.dataloader.dataset
    for metric in runner.val_loop.evaluator.metrics:
        if getattr(metric, 'img_ids', ()) is None:
            metric.img_ids = [
                dataset.get_data_info(i)['img_id']
                for i in range(len(dataset))
            ]


def measure(cfg: Config) -> Dict[str, float]:
    """Return the metrics of the teacher on the validation images."""
    runner = build_runner(cfg)
    # As in training: the distiller builds it, and loads it strictly.
    runner.model = runner.model.teacher
    check_classes(cfg, runner.model, runner.val_loop.dataloader.dataset)
    if 'indices' in cfg.val_dataloader.dataset:
        score_these_images_only(runner)
    return runner.val()


def main() -> None:
    """Measure, or say in one sentence why not."""
    args = parse_args()
    cfg = load_config(args)
    if 'teacher' not in cfg.model:
        sys.exit(f'check_teacher: {args.config} configures no distillation: '
                 'give a config whose model has a teacher.')
    check_datasets(cfg, ['val_dataloader'])
    leave_out_training(cfg)
    if args.work_dir is None:
        cfg.work_dir = os.path.join(cfg.work_dir, 'check_teacher')
    try:
        expected = read_expected(cfg)
        total = images = count_images(cfg)
        if args.images is not None:
            take_part(cfg, args.images, total)
            images = min(args.images, total)
        report(measure(cfg), expected, args.tolerance, images, total)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError,
            UnsafeCheckpointError) as error:
        sys.exit(f'check_teacher: {error}')


if __name__ == '__main__':
    main()
