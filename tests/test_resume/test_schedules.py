"""Every schedule of MMEngine is saved as data, and resumed."""
import pytest
import torch
from torch import nn

from mmdeepkd.checkpoints import read_checkpoint
from mmdeepkd.engine import PlainCheckpointHook
from tests.test_engine.checkpoint_kills import validated

from .runs import assert_same_run, go_through_and_resume
from .toy_runs import toy_config

SCHEDULES = [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=6),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=18, by_epoch=False,
         anneal_strategy='linear', three_phase=True),
    dict(type='CosineRestartLR', periods=[2, 4], restart_weights=[1, 0.5],
         eta_min=0.),
    dict(type='PolyLR', power=0.9, eta_min=1e-4),
    dict(type='LinearMomentum', start_factor=0.5, end=4),
    dict(type='ReduceOnPlateauLR', monitor='score', rule='less', patience=1),
]


def name(schedule):
    return schedule['type']


@pytest.mark.parametrize('schedule', SCHEDULES, ids=name)
def test_a_schedule_goes_on_bit_for_bit(schedule, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)
    cfg = dict(toy_config(), param_scheduler=schedule)
    assert_same_run(*go_through_and_resume(cfg, tmp_path, stop=10))


@pytest.mark.parametrize('schedule', SCHEDULES, ids=name)
def test_plain_torch_and_our_reader_open_its_file(schedule, tmp_path):
    runner = validated(tmp_path, param_scheduler=schedule)
    runner.train()
    for file in ('epoch_3.pth', 'best_score_epoch_3.pth'):
        torch.load(tmp_path / file, weights_only=True)
    state, = read_checkpoint(tmp_path / 'epoch_3.pth')['param_schedulers']

    assert state == {
        key: value for key, value in vars(runner.param_schedulers[0]).items()
        if key not in ('optimizer', 'anneal_func')}


def test_of_several_optimizers_too():
    """Whose schedules are lists by name."""
    stateful = nn.ReLU()
    saved = dict(a=[dict(anneal_func=len, last_step=3, own=stateful)], b=[])
    checkpoint = dict(param_schedulers=saved)
    warned = []
    runner = type('Runner', (), dict(logger=type('Logger', (), dict(
        warning=warned.append))))
    PlainCheckpointHook().before_save_checkpoint(runner, checkpoint)

    # An object may have a state, and is told of.
    assert checkpoint['param_schedulers'] == dict(
        a=[dict(last_step=3, own=stateful)], b=[])
    assert saved['a'][0]['anneal_func'] is len
    assert 'param_schedulers.a[0].own: ReLU' in warned[0]
