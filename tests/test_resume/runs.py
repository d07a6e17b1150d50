"""A run that goes through, and the same run interrupted and resumed."""
import copy
import itertools
import logging

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdeepkd.engine import DistillRunner

_names = itertools.count()


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Interrupt(Hook):
    """End the run before an iteration, what is saved being saved."""

    priority = 'LOWEST'

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            raise Interrupted


class Witness(Hook):
    """Keep the pixels, the loss and the K of every iteration."""

    def __init__(self):
        self.seen = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        inputs = data_batch['inputs']
        if not isinstance(inputs, torch.Tensor):
            inputs = torch.stack(list(inputs))
        model = getattr(runner.model, 'module', runner.model)
        self.seen[runner.iter] = (
            inputs.clone(), outputs['loss'].detach().clone(),
            [getattr(loss, 'topk', None) for loss in model.losses])


class Listener(Hook):
    """Keep what the runner logs, as (level, text), from its training on."""

    priority = 'HIGHEST'

    def __init__(self):
        self.records = []

    def before_run(self, runner):
        handler = logging.Handler()
        handler.emit = lambda record: self.records.append(
            (record.levelno, record.getMessage()))
        runner.logger.setLevel(logging.INFO)
        runner.logger.addHandler(handler)


def start(cfg, work_dir, *hooks, resume=False, runner_class=DistillRunner):
    """Build and run; return (runner, what each iteration saw)."""
    witness = Witness()
    cfg = copy.deepcopy(cfg)
    cfg.update(
        work_dir=str(work_dir),
        log_level='ERROR',
        resume=resume,
        experiment_name=f'resume_{next(_names)}')
    # Models and data in memory go without a config file.
    runner = runner_class.from_cfg(cfg) if isinstance(
        cfg, Config) else runner_class(**cfg)
    runner.register_custom_hooks([witness, *hooks])
    try:
        runner.train()
    finally:
        # Ends its worker; in the cycle that runner and loop are it would be
        # waited for, five seconds.
        vars(runner.train_loop).pop('dataloader_iterator', None)
    return runner, witness.seen


def go_through_and_resume(cfg, folder, stop):
    """Run a config straight, and interrupted; return what both left.

    Args:
        cfg: The whole config, or the runner's arguments, without a work dir.
        folder: Work dirs go here.
        stop: Iteration, from 0, before which the second run ends.

    Returns:
        Of each: (last checkpoint, what each iteration saw). The second is
        that of the resumed run, of whose iterations none was before the stop.
    """
    straight, seen = start(cfg, folder / 'straight')
    try:
        start(cfg, folder / 'resumed', Interrupt(stop))
    except Interrupted:
        # Another process would have other states, and so has this one.
        np.random.rand()
        torch.rand(())
    else:
        raise AssertionError('the run was not interrupted')
    resumed, again = start(cfg, folder / 'resumed', resume=True)
    return (last(straight), seen), (last(resumed), again)


def last(runner):
    """Read the file of the latest checkpoint."""
    return torch.load(runner.message_hub.get_info('last_ckpt'))


def same(first, second):
    """Whether two nested containers of tensors are equal bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same(value, second[key]) for key, value in first.items())
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def assert_same_run(first, second, keys=('state_dict', 'optimizer')):
    """Compare what :func:`go_through_and_resume` returned.

    Args:
        first: Of the straight run.
        second: Of the resumed one.
        keys: What the checkpoint must hold at least.
    """
    (straight, seen), (resumed, again) = first, second
    assert {'param_schedulers', *keys} <= straight.keys() == resumed.keys()
    for key in again:
        assert same(seen[key], again[key]), f'iteration {key} differs'
    assert again and list(seen)[-len(again):] == list(again)
    assert len(again) < len(seen)
    for key in straight.keys() - {'meta', 'message_hub'}:
        assert same(straight[key], resumed[key]), f'{key} differs'
    for key in ('epoch', 'iter', 'seed', 'random_states'):
        assert same(straight['meta'][key], resumed['meta'][key]), key
