"""Train from a config, with the options of mmdet's tools/train.py."""
import argparse

import torch
from common import (
    add_common_arguments,
    build_runner,
    check_datasets,
    load_config,
)
from mmengine.config import Config

# What --amp makes of each wrapper.
AMP_WRAPPERS = {
    'OptimWrapper': 'AmpOptimWrapper',
    'mmdeepkd.DeepKDOptimWrapper': 'mmdeepkd.AmpDeepKDOptimWrapper',
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--amp', action='store_true', help='train with mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the batch size actually used')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from the given checkpoint, or without a value from the '
        'latest one in the work dir')
    parser.add_argument(
        '--detect-anomaly',
        action='store_true',
        help='stop at the operation whose gradient is NaN, and show where it '
        'was called (slow)')
    add_common_arguments(parser)
    return parser.parse_args()


def turn_on_amp(cfg: Config) -> None:
    """Replace the optimizer wrapper by its mixed-precision version."""
    name = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if name in AMP_WRAPPERS.values():
        return
    if name not in AMP_WRAPPERS:
        raise SystemExit(
            f'--amp does not know the optimizer wrapper {name}: set '
            'optim_wrapper.type to its mixed-precision version instead.')
    cfg.optim_wrapper.type = AMP_WRAPPERS[name]
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def turn_on_lr_scaling(cfg: Config) -> None:
    """Let the runner scale the learning rate to the real batch size."""
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise SystemExit(
            '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) '
            f'in {cfg.filename}: the batch size its learning rate is for.')
    cfg.auto_scale_lr.enable = True


def main() -> None:
    """Train."""
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        turn_on_amp(cfg)
    if args.auto_scale_lr:
        turn_on_lr_scaling(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.detect_anomaly:
        torch.autograd.set_detect_anomaly(True)
    check_datasets(cfg, ['train_dataloader', 'val_dataloader'])
    build_runner(cfg).train()


if __name__ == '__main__':
    main()
