"""The learning rates of the shipped schedules, epoch by epoch."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from tests import golden

BASE = Path(__file__).resolve().parents[2] / 'configs' / '_base_'


def rates(name):
    """Train without gradients; return the learning rate of every epoch."""
    cfg = Config.fromfile(BASE / f'{name}.py')
    wrapper = build_optim_wrapper(nn.Linear(1, 1), cfg.optim_wrapper)
    schedulers = cfg.param_scheduler
    schedulers = [
        PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=wrapper))
        for s in (schedulers if isinstance(schedulers, list) else [schedulers])
    ]
    found = []
    for _ in range(cfg.train_cfg.max_epochs):
        found.extend(wrapper.get_lr()['lr'])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize('name, key', [
    ('cifar100_step_240e', 'step_240'), ('cifar100_cosine_240e', 'cos_240'),
    ('imagenet_cosine_100e', 'cos_100')
])
def test_schedules_follow_the_released_code(name, key):
    expected = golden.load('lr_schedule__deepkd')[key]

    torch.testing.assert_close(rates(name), expected, rtol=0, atol=1e-12)


def test_the_rate_of_imagenet_falls_after_each_third():
    expected = [0.2] * 30 + [0.02] * 30 + [0.002] * 30 + [0.0002] * 10

    assert rates('imagenet_step_100e').tolist() == pytest.approx(expected)


@pytest.mark.parametrize('name, batch, decay', [
    ('cifar100_step_240e', 64, 5e-4), ('cifar100_cosine_240e', 64, 5e-4),
    ('imagenet_step_100e', 512, 1e-4), ('imagenet_cosine_100e', 512, 1e-4)
])
def test_batch_and_weight_decay_are_the_published_ones(name, batch, decay):
    cfg = Config.fromfile(BASE / f'{name}.py')
    optimizer = cfg.optim_wrapper.optimizer

    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=batch)
    assert (optimizer.type, optimizer.momentum) == ('SGD', 0.9)
    assert optimizer.weight_decay == decay
