"""Resuming a run whose optimizer was another: what is new is in the log."""
import pytest
import torch
from mmengine.runner import Runner

from .runs import Interrupt, Interrupted, Listener, start
from .toy_runs import toy_config

BUFFERS = {'task_momentum_buffer', 'target_momentum_buffer'}


def plain_config():
    """The student's own training: MMEngine's wrapper and SGD."""
    cfg = toy_config()
    optimizer = cfg['optim_wrapper']['optimizer']
    return dict(cfg, optim_wrapper=dict(type='OptimWrapper',
                                        optimizer=optimizer))


def interrupted(cfg, work_dir, **kwargs):
    with pytest.raises(Interrupted):
        start(cfg, work_dir, Interrupt(10), **kwargs)
    path = (work_dir / 'last_checkpoint').read_text()
    return torch.load(path, weights_only=False)


def resumed(cfg, work_dir):
    """Resume; return (runner, names of its buffers, what it logged)."""
    listener = Listener()
    runner, seen = start(cfg, work_dir, listener, resume=True)
    names = {key for state in runner.optim_wrapper.optimizer.state.values()
             for key in state}
    assert list(seen) == list(range(9, 18))
    return runner, names, '\n'.join(text for _, text in listener.records)


def test_a_plain_student_run_goes_on_with_streams(tmp_path):
    saved = interrupted(plain_config(), tmp_path, runner_class=Runner)
    assert 'momentum_buffer' in saved['optimizer']['state'][0]
    _, names, log = resumed(toy_config(), tmp_path)

    assert names == BUFFERS
    assert 'plain SGD' in log
    assert 'starts its stream buffers' in log
    assert 'the checkpoint holds no random states' in log


def test_an_optimizer_without_streams_goes_on_with_them(tmp_path):
    """The same by our own runner, that is random states and all."""
    interrupted(plain_config(), tmp_path)
    _, names, log = resumed(toy_config(), tmp_path)

    assert names == BUFFERS
    assert 'starts its stream buffers' in log
    assert 'random states' not in log


def test_another_delta_in_the_config_is_told(tmp_path):
    interrupted(toy_config(), tmp_path)
    runner, _, log = resumed(toy_config(delta=0.02), tmp_path)

    assert "'target': -0.05" in log and "'target': -0.02" in log
    assert 'keeps those of the checkpoint' in log
    group = runner.optim_wrapper.optimizer.param_groups[0]
    assert group['offsets']['target'] == -0.05
