"""Errors of DecoupledSGD, and its state dict."""
import copy
import pickle
import re
import warnings

import pytest
import torch
from torch.optim import SGD

from mmdeepkd.engine import DecoupledSGD
from tests.helpers.toys import DELTAS, difference, equal, stream_lists


def parameters():
    return [torch.full((3, ), 2., dtype=torch.float64),
            torch.ones(2, 2, dtype=torch.float64)]


def stepped(steps=3, **kwargs):
    params = parameters()
    kwargs.setdefault('offsets', DELTAS)
    optimizer = DecoupledSGD(params, lr=0.1, **kwargs)
    for step in range(steps):
        optimizer.step(stream_lists(params, step, kwargs['offsets']))
    return params, optimizer


@pytest.mark.parametrize('settings, message', [
    (dict(momentum=0.95, offsets=DELTAS),
     r"momentum of stream 'task' is 0\.95 \+ 0\.05 = 1, outside \[0, 1\)"),
    (dict(momentum=0.01, offsets=DELTAS), r"stream 'target' .* = -0\.04"),
    (dict(momentum=float('nan')), r"stream 'task' is nan"),
    (dict(lr=-1.), r'lr >= 0, got -1'),
    (dict(weight_decay=-1.), r'weight_decay >= 0, got -1'),
    (dict(dampening=1.), r"dampening must be in \[0, 1\) or 'ema', got 1"),
    (dict(dampening='sum'), r"or 'ema', got 'sum'"),
    (dict(offsets=dict(target=0.)), r"must name the stream 'task'"),
    (dict(offsets=dict(task=0., plain=0.)), r"and not 'plain'"),
    (dict(semantics='thesis'), r"'paper' or 'released', got 'thesis'"),
    (dict(semantics='released', offsets=dict(task=0., feature=0.)),
     r'streams task, distill \(DOT\).* got feature, task'),
    (dict(semantics='released', dampening='ema'), r"'ema' is not in the rel"),
])
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        DecoupledSGD(parameters(), **{'lr': 0.1, **settings})


def test_a_group_is_checked_too():
    with pytest.raises(ValueError, match=r'0\.99 \+ 0\.05 = 1\.04'):
        DecoupledSGD([dict(params=parameters(), momentum=0.99)], lr=0.1,
                     offsets=DELTAS)


def test_groups_must_know_the_same_streams():
    first, second = parameters()
    with pytest.raises(ValueError, match=r'task, target.* got task$'):
        DecoupledSGD([dict(params=[first]),
                      dict(params=[second], offsets=dict(task=0.))], lr=0.1,
                     offsets=dict(task=0., target=0.))


@pytest.mark.parametrize('semantics', ['paper', 'released'])
def test_momentum_is_checked_again_in_every_step(semantics):
    params, optimizer = stepped(semantics=semantics)
    before = [p.clone() for p in params]
    optimizer.param_groups[0]['momentum'] = 0.96
    with pytest.raises(ValueError, match=r'0\.96 \+ 0\.05 = 1\.01'):
        optimizer.step(stream_lists(params, 9))

    assert equal(params, before)


@pytest.mark.parametrize('option', ['nesterov', 'maximize'])
def test_options_without_meaning_are_no_arguments(option):
    with pytest.raises(TypeError, match=option):
        DecoupledSGD(parameters(), lr=0.1, **{option: True})


def test_an_unknown_stream_is_named():
    params, optimizer = stepped(0)
    with pytest.raises(KeyError, match='feature.*task, target, non_target'):
        optimizer.step(stream_lists(params, 0, ['feature']))


def test_a_list_of_wrong_length_is_named():
    _, optimizer = stepped(0)
    with pytest.raises(ValueError, match="'task' has 1 gradients for 2"):
        optimizer.step(dict(task=[None]))


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


def test_offsets_are_not_shared_between_groups():
    first, second = parameters()
    optimizer = DecoupledSGD([dict(params=[first]), dict(params=[second])],
                             lr=0.1, offsets=DELTAS)
    optimizer.param_groups[0]['offsets']['target'] = 0.

    assert optimizer.param_groups[1]['offsets'] == DELTAS
    assert optimizer.defaults['offsets'] == DELTAS


@pytest.mark.parametrize('kwargs', [
    dict(), dict(merge=False), dict(semantics='released'),
    dict(dampening='ema', weight_decay=0.1)
], ids=str)
def test_a_state_dict_continues_exactly(kwargs):
    params, optimizer = stepped(**kwargs)
    others = [p.clone() for p in params]
    resumed = DecoupledSGD(others, lr=0.5, offsets=DELTAS, **kwargs)
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
def test_a_copy_keeps_semantics_and_merging(copier):
    _, optimizer = stepped(semantics='released')
    copied = copier(optimizer)
    params = copied.param_groups[0]['params']
    _, other = stepped(4, semantics='released')
    copied.step(stream_lists(params, 3))

    assert equal(params, other.param_groups[0]['params'])
    assert copied.semantics == 'released' and copied.merge is False


def test_the_state_of_a_plain_sgd_loads_with_a_warning():
    others = parameters()
    sgd = SGD(others, lr=0.3, momentum=0.8)
    for param in others:
        param.grad = torch.ones_like(param)
    sgd.step()
    params, optimizer = stepped(0)
    with pytest.warns(UserWarning, match='plain SGD.*starts its stream buff'):
        optimizer.load_state_dict(sgd.state_dict())
    optimizer.step(stream_lists(params, 0))

    group = optimizer.param_groups[0]
    assert (group['lr'], group['momentum']) == (0.3, 0.8)
    assert group['offsets'] == DELTAS
    assert set(optimizer.state[params[0]]) == {
        'task_momentum_buffer', 'target_momentum_buffer'
    }


def test_nesterov_of_a_plain_sgd_is_dropped_and_told():
    sgd = SGD(parameters(), lr=0.3, momentum=0.8, nesterov=True)
    _, optimizer = stepped(0)
    with pytest.warns(UserWarning, match='momentum, drops nesterov, takes'):
        optimizer.load_state_dict(sgd.state_dict())

    assert set(optimizer.param_groups[0]) == {
        'params', 'lr', 'momentum', 'dampening', 'weight_decay', 'offsets'
    }


def test_a_buffer_that_task_shared_under_another_name_goes_on_as_task():
    offsets = dict(target=0., task=0.)
    params, optimizer = stepped(offsets=offsets)
    others = [p.clone() for p in params]
    state = copy.deepcopy(optimizer.state_dict())
    for held in state['state'].values():
        held['target_momentum_buffer'] = held.pop('task_momentum_buffer')
    resumed = DecoupledSGD(others, lr=0.1, offsets=offsets)
    resumed.load_state_dict(state)
    optimizer.step(stream_lists(params, 3, offsets))
    resumed.step(stream_lists(others, 3, offsets))

    assert equal(params, others)


def test_other_offsets_in_the_checkpoint_are_told_and_kept():
    _, trained = stepped(offsets=dict(DELTAS, target=-0.02))
    _, optimizer = stepped(0)
    with pytest.warns(UserWarning) as caught:
        optimizer.load_state_dict(trained.state_dict())

    assert re.search(r'offsets .*-0\.02.*asks for .*-0\.05.*keeps those',
                     str(caught[0].message))
    assert optimizer.param_groups[0]['offsets']['target'] == -0.02


def test_the_group_whose_offsets_differ_is_shown():
    state = stepped()[1].state_dict()
    first, second = parameters()
    groups = [dict(params=[first]), dict(params=[second])]
    optimizer = DecoupledSGD(groups, lr=0.1, offsets=DELTAS)
    state = copy.deepcopy(optimizer.state_dict())
    state['param_groups'][1]['offsets']['target'] = -0.02
    with pytest.warns(UserWarning, match=r'offsets .*-0\.02.*asks for'):
        optimizer.load_state_dict(state)


def test_an_unmerged_state_folds_into_a_merged_optimizer_exactly():
    params, unmerged = stepped(merge=False)
    others = [p.clone() for p in params]
    merged = DecoupledSGD(others, lr=0.1, offsets=DELTAS)
    merged.load_state_dict(copy.deepcopy(unmerged.state_dict()))
    for step in range(3, 6):
        unmerged.step(stream_lists(params, step))
        merged.step(stream_lists(others, step))

    assert difference(params, others) <= 1e-12
    assert set(merged.state[others[0]]) == {
        'task_momentum_buffer', 'target_momentum_buffer'
    }


def test_loaded_buffers_have_the_format_of_the_parameters():
    params = [torch.ones(4, 3, 2, 2)]
    optimizer = DecoupledSGD(params, 0.1, offsets=DELTAS)
    optimizer.step(stream_lists(params, 0))
    other = [params[0].clone(memory_format=torch.preserve_format).to(
        memory_format=torch.channels_last)]
    resumed = DecoupledSGD(other, 0.1, offsets=DELTAS)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    held = resumed.state[other[0]]
    assert held and all(
        b.stride() == other[0].stride() for b in held.values())
    assert all(torch.equal(held[key], value)
               for key, value in optimizer.state[params[0]].items())
