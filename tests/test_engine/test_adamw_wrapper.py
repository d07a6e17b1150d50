"""DeepKDOptimWrapper around AdamW."""
import copy
from unittest import mock

import pytest
import torch
from mmengine.optim import (
    LinearLR,
    LinearMomentum,
    MultiStepLR,
    OptimWrapper,
    build_optim_wrapper,
)
from torch import nn
from torch.optim import AdamW

import mmdeepkd.registry  # noqa: F401
from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DecoupledAdamW,
    DeepKDOptimWrapper,
)
from mmdeepkd.engine import optim_wrapper as wrapper_module
from tests.helpers.float16 import or_refused
from tests.helpers.toys import (
    DELTAS,
    equal,
    spoil_gradient,
    toy_batch,
    toy_net,
    toy_streams,
    weights,
)

PARAMWISE = dict(
    norm_decay_mult=0., bias_decay_mult=0., bias_lr_mult=2.,
    custom_keys={'2': dict(lr_mult=0.1)})


def net_with_norm():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 5))


def from_config(net, delta, **kwargs):
    config = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=0.01, betas=(0.8, 0.99), eps=1e-6,
                       weight_decay=0.1),
        paramwise_cfg=PARAMWISE,
        **copy.deepcopy(kwargs))
    if delta is not None:
        config.update(type='mmdeepkd.DeepKDOptimWrapper', delta=delta)
    return build_optim_wrapper(net, config)


def wrap(net, delta=0.05, kind=DeepKDOptimWrapper, **kwargs):
    return kind(AdamW(net.parameters(), lr=0.01), delta=delta, **kwargs)


def train(net, wrapper, steps=range(6), scheduled=()):
    for step in steps:
        losses = toy_streams(net, toy_batch(step, dtype=torch.float))
        plain = not isinstance(wrapper, DeepKDOptimWrapper)
        wrapper.update_params(sum(losses.values()) if plain else losses)
        for scheduler in scheduled:
            scheduler.step()
    return weights(net)


def test_a_configured_adamw_keeps_its_groups():
    net = net_with_norm()
    wrapper, plain = from_config(net, 0.05), from_config(net, None)
    mine, theirs = (w.optimizer.param_groups for w in (wrapper, plain))

    assert isinstance(wrapper.optimizer, DecoupledAdamW)
    assert len(mine) == len(theirs) == 6
    assert len({(g['lr'], g['weight_decay']) for g in theirs}) == 4
    for group, expected in zip(mine, theirs):
        assert group['params'][0] is expected['params'][0]
        assert group['offsets'] == dict(DELTAS, distill=0.05, feature=0.05)
        for key in ('lr', 'betas', 'eps', 'weight_decay'):
            assert group[key] == expected[key]


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('counts', [1, 2])
def test_delta_zero_trains_as_mmengine_bit_for_bit(clip, counts):
    results = [
        train(net, from_config(net, delta, clip_grad=clip,
                               accumulative_counts=counts))
        for net, delta in ((net_with_norm(), 0.), (net_with_norm(), None))
    ]

    assert equal(*results)


def test_delta_changes_the_training():
    net, other = net_with_norm(), net_with_norm()

    assert not equal(train(net, from_config(net, 0.05)),
                     train(other, from_config(other, 0.)))


@pytest.mark.parametrize('merge, count', [(True, 2), (False, 3)])
def test_there_is_one_backward_per_distinct_momentum(
        monkeypatch, merge, count):
    calls = []
    grad = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, 'grad',
        lambda *args, **kwargs: (calls.append(1), grad(*args, **kwargs))[1])
    net = toy_net(dtype=torch.float)
    train(net, wrap(net, merge=merge), [0])

    assert len(calls) == count


@pytest.mark.parametrize(
    'option', ['amsgrad', 'maximize', 'capturable', 'differentiable'])
def test_an_option_without_meaning_is_named(option):
    optimizer = AdamW(toy_net().parameters(), **{option: True})
    with pytest.raises(ValueError, match=f'does not support {option}=True'):
        DeepKDOptimWrapper(optimizer, delta=0.05)


def test_how_torch_would_compute_is_dropped():
    optimizer = AdamW(toy_net().parameters(), foreach=True)
    group, = DeepKDOptimWrapper(optimizer, delta=0.05).param_groups

    assert set(group) == {
        'params', 'lr', 'betas', 'eps', 'weight_decay', 'offsets'}


def test_the_release_has_no_adamw():
    with pytest.raises(ValueError, match="semantics='released' for SGD only"):
        wrap(toy_net(), delta=None, offsets=dict(task=0.05, distill=0.05),
             semantics='released')


def test_an_adamw_that_has_stepped_is_refused():
    net = toy_net()
    optimizer = AdamW(net.parameters())
    net(toy_batch()).mean().backward()
    optimizer.step()
    with pytest.raises(ValueError, match='needs an AdamW that has not step'):
        DeepKDOptimWrapper(optimizer, delta=0.05)


def schedulers(wrapper):
    return [
        LinearLR(wrapper, start_factor=0.1, by_epoch=False, begin=0, end=4),
        MultiStepLR(wrapper, milestones=[5, 7], by_epoch=False),
        LinearMomentum(wrapper, start_factor=0.9, by_epoch=False, begin=0,
                       end=6),
    ]


def settings(wrapper):
    return [(g['lr'], g['betas'], wrapper.get_momentum())
            for g in wrapper.param_groups]


def test_schedulers_at_delta_zero_are_mmengines_bit_for_bit():
    results = []
    for delta in (None, 0.):
        net = toy_net(dtype=torch.float)
        wrapper = OptimWrapper(AdamW(net.parameters(), lr=0.01)) \
            if delta is None else wrap(net, delta)
        train(net, wrapper, range(10), schedulers(wrapper))
        results.append((weights(net), settings(wrapper)))

    assert equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_schedulers_move_the_momentum_of_every_stream():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net)
    group, = wrapper.param_groups
    scheduled = schedulers(wrapper)
    first = group['betas']
    train(net, wrapper, range(8), scheduled)

    assert first[0] == pytest.approx(0.81)
    assert group['betas'] == pytest.approx((0.9, 0.999))
    group['betas'] = (0.96, 0.999)
    with pytest.raises(ValueError, match=r'0\.96 \+ 0\.05 = 1\.01'):
        train(net, wrapper, [8])


@pytest.mark.parametrize('merge', [True, False])
def test_a_resumed_run_is_the_straight_run_bit_for_bit(merge):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, merge=merge)
    scheduled = schedulers(wrapper)
    train(net, wrapper, range(5), scheduled)
    saved = copy.deepcopy((net.state_dict(), wrapper.state_dict(),
                           [s.state_dict() for s in scheduled]))
    train(net, wrapper, range(5, 10), scheduled)

    other = toy_net(1, torch.float)
    resumed = wrap(other, merge=merge)
    rescheduled = schedulers(resumed)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for scheduler, state in zip(rescheduled, saved[2]):
        scheduler.load_state_dict(state)
    train(other, resumed, range(5, 10), rescheduled)

    assert equal(weights(net), weights(other))
    assert settings(wrapper) == settings(resumed)


@pytest.mark.parametrize('other, message', [
    (lambda net: OptimWrapper(AdamW(net.parameters())), 'of a plain AdamW'),
    (lambda net: wrap(net, 0.02), 'trained with momentum offsets')
])
def test_what_resuming_changes_is_logged(other, message):
    net = toy_net()
    with mock.patch.object(wrapper_module, 'print_log') as log:
        wrap(net).load_state_dict(other(net).state_dict())

    assert message in log.call_args[0][0]


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('counts', [1, 2])
@or_refused
def test_a_scaled_step_equals_an_unscaled_one(clip, counts):
    kwargs = dict(clip_grad=clip, accumulative_counts=counts)
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    mine = train(net, wrap(net, kind=AmpDeepKDOptimWrapper, dtype='float16',
                           **kwargs))

    # A scale is a power of two: nothing is rounded.
    assert equal(mine, train(other, wrap(other, **kwargs)))


@pytest.mark.parametrize('stream', ['task', 'target'])
@or_refused
def test_an_overflow_skips_the_whole_step(stream):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, kind=AmpDeepKDOptimWrapper, dtype='float16')
    before = train(net, wrapper, range(2))
    held = copy.deepcopy(wrapper.optimizer.state_dict()['state'])
    losses = toy_streams(net, toy_batch(2, dtype=torch.float))
    wrapper.update_params(
        {**losses, stream: spoil_gradient(losses[stream], float('inf'))})

    state = wrapper.optimizer.state_dict()['state']
    assert equal(weights(net), before)
    assert set(state[0]) == {
        'step', 'exp_avg_sq', 'task_exp_avg', 'target_exp_avg'}
    assert all(equal(state[i].values(), held[i].values()) for i in held)
