"""Suggest momenta and loss weights for a pair, before it is trained.

    python tools/analysis/probe.py CONFIG [--checkpoint FILE] [--iters 300]

Builds student, teacher and training data of a distillation config, and takes
the gradient of every stream over some hundred batches without training: no
parameter moves (the statistics of BatchNorm do, as in any forward of
training). Prints the signal-to-noise ratio of each stream, E[g]^2 / Var[g],
with its standard error, norms and cosines of the gradients, the momenta that
follow from the ratios as lines for the config, and the loss weights that
would make the gradients equally long.

A sample is one batch, in float32. Where training accumulates n batches, or
has n processes, every stream's GSNR is n times as large, and the suggestions
are the same. Ctrl-C ends it early with what is known by then.
"""
import argparse
import os
import sys
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any, Tuple

# Also where the package is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

from mmengine.config import Config  # noqa: E402

from mmdeepkd.checkpoints import UnsafeCheckpointError  # noqa: E402
from mmdeepkd.engine.unwrap import unwrap  # noqa: E402
from tools.analysis.probe_steps.data import endless  # noqa: E402
from tools.analysis.probe_steps.measuring import StreamMeter  # noqa: E402
from tools.analysis.probe_steps.suggesting import (  # noqa: E402
    base_momentum,
    check_delta,
    config_delta,
)
from tools.analysis.probe_steps.telling import report, shown  # noqa: E402
from tools.common import (  # noqa: E402
    add_config_arguments,
    build_runner,
    check_datasets,
    load_config,
)

_BLOCKS = 10
_BLOCK = 8
# What is built and not needed, or acts on training.
_LEFT_OUT = ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader',
             'test_cfg', 'test_evaluator', 'custom_hooks', 'default_hooks',
             'visualizer')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of a distillation')
    parser.add_argument(
        '--checkpoint', help='of a run of this config, to probe its student; '
        'without it the weights that training starts with')
    parser.add_argument('--iters', type=int, default=300,
                        help='batches to measure (300)')
    parser.add_argument(
        '--delta', type=float,
        help="largest distance from the config's momentum (that of its own "
        'delta or offsets, or 0.05)')
    parser.add_argument(
        '--work-dir', help="folder for the log, instead of probe in the run's")
    add_config_arguments(parser)
    return parser.parse_args()


def check(cfg: Config, args: argparse.Namespace) -> None:
    """Raise unless the config can be probed."""
    if 'teacher' not in (cfg.get('model') or {}):
        raise ValueError(f'{args.config} configures no distillation: give a '
                         'config whose model has a teacher.')
    if cfg.get('train_dataloader') is None:
        raise ValueError(f'{args.config} has no train_dataloader, whose '
                         'batches are to be measured: add one.')
    if args.iters < 2 * _BLOCK:
        raise ValueError(f'--iters must be at least {2 * _BLOCK}, two blocks '
                         f'of {_BLOCK} batches, got {args.iters}.')


def prepare(cfg: Config, args: argparse.Namespace) -> None:
    """Leave in the config what is needed to start training."""
    for key in _LEFT_OUT:
        cfg.pop(key, None)
    cfg.resume = False
    # What the runner says of itself is of a training.
    cfg.log_level = 'WARNING'
    if args.checkpoint is not None:
        cfg.load_from = args.checkpoint
    if args.work_dir is None:
        cfg.work_dir = os.path.join(cfg.work_dir, 'probe')


def measure(cfg: Config, iters: int) -> Tuple[Any, StreamMeter]:
    """Return the distiller and a meter of its streams, after its batches."""
    runner = build_runner(cfg)
    dataloader = runner.train_loop.dataloader
    model = unwrap(runner.model)
    model.init_weights()
    runner.load_or_resume()
    model.train()
    # Not the warning of a run's checkpoints: there are none.
    model.plain_checkpoints = True
    meter = StreamMeter(model, max(_BLOCK, iters // _BLOCKS))
    iters -= iters % meter.block
    start = time.time()
    try:
        for number, batch in enumerate(islice(endless(dataloader), iters), 1):
            model.train_step(batch, meter)
            if number % meter.block == 0:
                progress(meter, number, iters, time.time() - start)
    except KeyboardInterrupt:
        print('\nstopped early: this is what is known.', flush=True)
    return model, meter


def progress(meter: StreamMeter, number: int, iters: int,
             seconds: float) -> None:
    """Print what is known after some batches."""
    left = seconds / number * (iters - number)
    ratios = ', '.join(f'{name} {shown(estimate)}' for name, estimate
                       in meter.measured().of('gsnr').items())
    print(f'  {number}/{iters} batches, {left:.0f} s left; GSNR: {ratios}',
          flush=True)


def main() -> None:
    """Probe, or say in one sentence why not."""
    args = parse_args()
    cfg = load_config(args)
    try:
        check(cfg, args)
        delta = args.delta
        if delta is None:
            delta = config_delta(cfg)
        base = base_momentum(cfg)
        check_delta(delta, base)
        check_datasets(cfg, ['train_dataloader'])
        prepare(cfg, args)
        point = args.checkpoint or 'as its training starts'
        print(f'probe: {args.config}, {point}', flush=True)
        model, meter = measure(cfg, args.iters)
        found = meter.measured()
        print(f'\nThe streams over {found.batches} batches:\n\n'
              + report(found, cfg, model.losses, delta, base), flush=True)
    except (FloatingPointError, ImportError, OSError, RuntimeError, TypeError,
            ValueError, UnsafeCheckpointError) as error:
        sys.exit(f'probe: {error}')


if __name__ == '__main__':
    main()
