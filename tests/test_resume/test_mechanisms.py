"""What makes a resumed run the uninterrupted one, on a toy model."""
import random

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook

from mmdeepkd.checkpoints import random_state, set_random_state
from mmdeepkd.engine import loss_scaler

from .runs import (
    Interrupt,
    Interrupted,
    assert_same_run,
    go_through_and_resume,
    last,
    same,
    start,
)
from .toy_runs import toy_config


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """MMEngine's loop sleeps whenever the data begin anew."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)


def draw():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


def test_a_state_brings_the_same_numbers_back():
    random.gauss(0, 1)
    np.random.randn()
    state = random_state()
    first = draw()
    set_random_state(state)

    assert draw() == first != draw()


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('workers', [0, 1])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
        by_epoch, workers, tmp_path):
    cfg = toy_config(by_epoch, workers=workers)
    assert_same_run(*go_through_and_resume(cfg, tmp_path, stop=10))


def test_also_where_the_data_never_end(tmp_path):
    cfg = toy_config(False, workers=1, infinite=True)
    assert_same_run(*go_through_and_resume(cfg, tmp_path, stop=8))


@pytest.mark.parametrize('by_epoch', [True, False])
def test_with_average_accumulation_and_loss_scale(by_epoch, tmp_path):
    # torch < 2.3 cannot scale on the CPU.
    dtype = 'float16' if loss_scaler._SCALES_ON_CPU else 'bfloat16'
    cfg = toy_config(by_epoch, type='mmdeepkd.AmpDeepKDOptimWrapper',
                     dtype=dtype, accumulative_counts=3,
                     clip_grad=dict(max_norm=1.),
                     loss_scale=dict(init_scale=64., growth_interval=2))
    cfg['custom_hooks'].append(EMAHook(momentum=0.1, update_buffers=True))
    runs = go_through_and_resume(cfg, tmp_path, stop=10)
    assert_same_run(*runs, keys=['state_dict', 'optimizer',
                                 'ema_state_dict'])
    scaler = runs[1][0]['optimizer']['loss_scaler']

    assert scaler.get('scale', 512.) == 512.


@pytest.mark.parametrize('by_epoch', [True, False])
def test_validation_does_not_disturb(by_epoch, tmp_path):
    """Also a checkpoint that was saved again because it is the best."""
    every = toy_config(by_epoch, val_interval=1 if by_epoch else 3)
    every['default_hooks']['checkpoint'].update(save_best='score')
    often, resumed = go_through_and_resume(every, tmp_path, stop=10)
    assert_same_run(often, resumed)
    _, never = start(toy_config(by_epoch), tmp_path / 'never')

    assert same(often[1], never)


def test_weights_alone_bring_no_random_states(tmp_path):
    """Loaded by load_from, a run begins with its own seed."""
    runner, _ = start(toy_config(), tmp_path)
    path = runner.message_hub.get_info('last_ckpt')
    _, first = start(dict(toy_config(seed=7), load_from=path), tmp_path / 'a')
    _, other = start(toy_config(seed=7), tmp_path / 'b')

    assert same([seen[0] for seen in first.values()],
                [seen[0] for seen in other.values()])


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('workers', [0, 1])
def test_a_seed_left_to_chance_is_that_of_the_checkpoint(
        by_epoch, workers, tmp_path):
    cfg = toy_config(by_epoch, workers=workers, seed=None)
    with pytest.raises(Interrupted):
        start(cfg, tmp_path, Interrupt(10))
    resumed, again = start(cfg, tmp_path, resume=True)
    straight, seen = start(toy_config(by_epoch, workers=workers,
                                      seed=resumed.seed), tmp_path / 'b')
    assert_same_run((last(straight), seen), (last(resumed), again))
