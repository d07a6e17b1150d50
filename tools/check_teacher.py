"""Measure a config's teacher alone, beside the value the config expects.

    python tools/check_teacher.py configs/coco/deepkd_frcnn_r101_r18.py

The teacher is built and loaded as in training, made faster as the config's
teacher_speedup says, and classifies the validation images through its own
preprocessor. Exits with 1 when it falls short. In a
config of one's own: teacher_metric = dict(name='coco/bbox_mAP', value=0.394),
the name and the unit being those that the evaluator prints.
"""
import argparse
import os
import sys

from common import (
    add_config_arguments,
    build_runner,
    check_datasets,
    load_config,
)
from mmengine.config import Config
from teacher_steps.classes import check_classes
from teacher_steps.expected import read_expected
from teacher_steps.images import score_these_images_only, take_part
from teacher_steps.verdict import report

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
        'accepted, so 100 or more')
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


def measure(cfg: Config, args: argparse.Namespace) -> None:
    """Measure the teacher and report."""
    expected = read_expected(cfg)
    runner = build_runner(cfg)
    # As in training: the distiller builds it, and loads it strictly.
    speedup = runner.model.teacher_speedup
    runner.model = runner.model.running_teacher()
    dataset = runner.val_loop.dataloader.dataset
    check_classes(cfg, runner.model, dataset)
    total = images = len(dataset)
    if args.images is not None:
        images = min(args.images, total)
    allowed = args.tolerance or 0.0
    if expected is not None and args.tolerance is None:
        allowed = expected.accepted_shortfall(images, total)
    if images < total:
        take_part(runner, images)
    if images < total or 'indices' in cfg.val_dataloader.dataset:
        score_these_images_only(runner.val_loop)
    metrics = runner.val()
    print('\nthe teacher ran as in training: '
          + ('as loaded.' if speedup is None else
             f'with teacher_speedup ({speedup.describe()}).'))
    report(metrics, expected, allowed,
           f'{images} of {total} validation images')


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
        if args.images is not None and args.images < 1:
            raise ValueError(
                f'--images must be at least 1, got {args.images}.')
        measure(cfg, args)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError,
            UnsafeCheckpointError) as error:
        sys.exit(f'check_teacher: {error}')


if __name__ == '__main__':
    main()
