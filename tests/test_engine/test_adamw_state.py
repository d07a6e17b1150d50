"""Errors of DecoupledAdamW, and its state dict."""
import copy
import pickle
import re
import warnings
from unittest.mock import Mock

import pytest
import torch
from torch.optim import AdamW

from mmdeepkd.engine import DecoupledAdamW, DecoupledSGD
from tests.helpers.toys import DELTAS, difference, equal, stream_lists


def parameters():
    return [torch.full((3, ), 2., dtype=torch.float64),
            torch.ones(2, 2, dtype=torch.float64)]


def stepped(steps=3, **kwargs):
    params = parameters()
    kwargs.setdefault('offsets', DELTAS)
    optimizer = DecoupledAdamW(params, lr=0.1, **kwargs)
    for step in range(steps):
        optimizer.step(stream_lists(params, step, kwargs['offsets']))
    return params, optimizer


@pytest.mark.parametrize('settings, message', [
    (dict(betas=(0.95, 0.999), offsets=DELTAS),
     r"momentum of stream 'task' is 0\.95 \+ 0\.05 = 1, outside \[0, 1\)"),
    (dict(betas=(0.01, 0.999), offsets=DELTAS),
     r"stream 'target' .* = -0\.04"),
    (dict(betas=(0.9, 1.)), r'betas\[1\] must be in \[0, 1\), got 1'),
    (dict(lr=-1.), r'DecoupledAdamW needs lr >= 0, got -1'),
    (dict(weight_decay=-1.), r'weight_decay >= 0, got -1'),
    (dict(eps=-1.), r'DecoupledAdamW needs eps >= 0, got -1'),
    (dict(offsets=dict(target=0.)),
     r"DecoupledAdamW's offsets must name the stream 'task'"),
])
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        DecoupledAdamW(parameters(), **settings)


def test_groups_must_know_the_same_streams():
    first, second = parameters()
    with pytest.raises(ValueError, match=r'groups of DecoupledAdamW .*task$'):
        DecoupledAdamW([dict(params=[first]),
                        dict(params=[second], offsets=dict(task=0.))],
                       offsets=dict(task=0., target=0.))


def test_momentum_is_checked_again_in_every_step():
    params, optimizer = stepped()
    before = [p.clone() for p in params]
    held = copy.deepcopy(optimizer.state_dict()['state'])
    optimizer.param_groups[0]['betas'] = (0.96, 0.999)
    with pytest.raises(ValueError, match=r'0\.96 \+ 0\.05 = 1\.01'):
        optimizer.step(stream_lists(params, 9))

    state = optimizer.state_dict()['state']
    assert equal(params, before)
    assert all(equal(state[i].values(), held[i].values()) for i in held)


@pytest.mark.parametrize('option', ['amsgrad', 'maximize'])
def test_options_without_meaning_are_no_arguments(option):
    with pytest.raises(TypeError, match=option):
        DecoupledAdamW(parameters(), **{option: True})


@pytest.mark.parametrize('first, then', [
    (['task'], ['plain']), (['plain'], ['task', 'target']),
    (None, ['plain', 'task'])
])
def test_plain_and_streams_do_not_mix(first, then):
    params, optimizer = stepped(0)
    if first:
        optimizer.step(stream_lists(params, 0, first))
    with pytest.raises(RuntimeError, match='do not mix'):
        optimizer.step(stream_lists(params, 1, then))


def test_an_unknown_stream_is_named():
    params, optimizer = stepped(0)
    with pytest.raises(KeyError, match='feature.*knows task, target'):
        optimizer.step(stream_lists(params, 0, ['feature']))


@pytest.mark.parametrize('kwargs', [
    dict(), dict(merge=False), dict(weight_decay=0.1, betas=(0.8, 0.9))
], ids=str)
def test_a_state_dict_continues_exactly(kwargs):
    params, optimizer = stepped(**kwargs)
    others = [p.clone() for p in params]
    resumed = DecoupledAdamW(
        others, lr=0.5, offsets=DELTAS, merge=kwargs.get('merge', True))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(3, 6):
        optimizer.step(stream_lists(params, step))
        resumed.step(stream_lists(others, step))

    assert equal(params, others)


@pytest.mark.parametrize('copier', [
    copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))
])
def test_a_copy_keeps_moments_and_merging(copier):
    _, optimizer = stepped(merge=False)
    copied = copier(optimizer)
    params = copied.param_groups[0]['params']
    _, other = stepped(4, merge=False)
    copied.step(stream_lists(params, 3))

    assert equal(params, other.param_groups[0]['params'])
    assert copied.merge is False


def test_the_state_of_a_plain_adamw_loads_with_a_warning():
    others = parameters()
    adamw = AdamW(others, lr=0.3, betas=(0.8, 0.99), weight_decay=0.2)
    for param in others:
        param.grad = torch.ones_like(param)
    adamw.step()
    params, optimizer = stepped(0)
    with pytest.warns(UserWarning, match='plain AdamW: DecoupledAdamW keeps'):
        optimizer.load_state_dict(adamw.state_dict())
    fresh = [p.clone() for p in params]
    other = DecoupledAdamW(fresh, lr=0.3, betas=(0.8, 0.99), weight_decay=0.2,
                           offsets=DELTAS)
    for step in range(3):
        optimizer.step(stream_lists(params, step))
        other.step(stream_lists(fresh, step))

    # Both moments and the step count of bias correction start anew.
    assert equal(params, fresh)
    assert optimizer.param_groups[0]['offsets'] == DELTAS


def test_the_step_count_is_on_the_cpu_after_a_resume():
    params, optimizer = stepped()
    state = copy.deepcopy(optimizer.state_dict())
    # What map_location='cuda' makes of it, as far as a CPU can show.
    on_gpu = Mock(spec=torch.Tensor)
    on_gpu.cpu.return_value = torch.tensor(3.0)
    state['state'][0]['step'] = on_gpu
    optimizer.load_state_dict(state)

    assert optimizer.state[params[0]]['step'] is on_gpu.cpu.return_value


def foreign_state(**options):
    optimizer = AdamW(parameters(), lr=0.3)
    state = optimizer.state_dict()
    state['param_groups'][0].update(options)
    return state


@pytest.mark.parametrize('options, told', [
    (dict(fused=True, foreach=False), 'momentum, takes the offsets'),
    (dict(amsgrad=True, maximize=True),
     'momentum, drops amsgrad, maximize, takes the offsets'),
])
def test_entries_of_a_plain_adamw_are_dropped(options, told):
    _, optimizer = stepped(0)
    with pytest.warns(UserWarning, match=told):
        optimizer.load_state_dict(foreign_state(**options))

    assert set(optimizer.param_groups[0]) == {
        'params', 'lr', 'betas', 'eps', 'weight_decay', 'offsets'
    }


def test_other_offsets_in_the_checkpoint_are_told_and_kept():
    _, trained = stepped(offsets=dict(DELTAS, target=-0.02))
    _, optimizer = stepped(0)
    with pytest.warns(UserWarning) as caught:
        optimizer.load_state_dict(trained.state_dict())

    assert re.search(r'offsets .*-0\.02.*asks for .*-0\.05.*keeps those',
                     str(caught[0].message))
    assert optimizer.param_groups[0]['offsets']['target'] == -0.02


def test_an_unmerged_state_folds_into_a_merged_optimizer_exactly():
    params, unmerged = stepped(merge=False)
    others = [p.clone() for p in params]
    merged = DecoupledAdamW(others, lr=0.1, offsets=DELTAS)
    merged.load_state_dict(copy.deepcopy(unmerged.state_dict()))
    for step in range(3, 6):
        unmerged.step(stream_lists(params, step))
        merged.step(stream_lists(others, step))

    assert difference(params, others) <= 1e-12
    assert set(merged.state[others[0]]) == {
        'step', 'exp_avg_sq', 'task_exp_avg', 'target_exp_avg'
    }


@pytest.mark.parametrize('into, of, lack', [
    (DecoupledAdamW, DecoupledSGD, 'betas, eps'),
    (DecoupledSGD, DecoupledAdamW, 'momentum, dampening'),
    (DecoupledSGD, AdamW, 'momentum, dampening')
])
def test_the_state_of_another_kind_of_optimizer_is_refused(into, of, lack):
    state = of(parameters(), lr=0.1).state_dict()
    with pytest.raises(ValueError, match=(
            f'kind of optimizer than {into.__name__}: its groups lack {lack}; '
            'resume with that optimizer')):
        into(parameters(), lr=0.1).load_state_dict(state)
