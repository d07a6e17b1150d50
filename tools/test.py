"""Evaluate a checkpoint; of a distillation config, its student alone."""
import argparse

from common import (
    add_common_arguments,
    build_runner,
    check_datasets,
    load_config,
)

from mmdeepkd.distillers import student_config
from mmdeepkd.engine import StudentWeightsHook


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint to evaluate')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Evaluate."""
    args = parse_args()
    cfg = load_config(args)
    # The checkpoint is the student's: no teacher needs to be loaded.
    if 'student' in cfg.model:
        cfg.model = student_config(cfg.model)
    cfg.load_from = args.checkpoint
    check_datasets(cfg, ['test_dataloader'])
    runner = build_runner(cfg)
    runner.register_hook(StudentWeightsHook())
    runner.test()


if __name__ == '__main__':
    main()
