"""DeepKDOptimWrapper with MMEngine's schedulers and across a resume."""
import copy

import pytest
import torch
from mmengine.optim import (
    LinearLR,
    LinearMomentum,
    MultiStepLR,
    OptimWrapper,
)
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper
from tests.helpers.toys import equal, toy_batch, toy_net, toy_streams, weights


def groups(net):
    return [dict(params=net[0].parameters()),
            dict(params=net[2].parameters(), lr=0.05, weight_decay=0.)]


def build(net, delta, merge=True):
    sgd = SGD(groups(net), lr=0.1, momentum=0.9, weight_decay=0.01)
    if delta is None:
        return OptimWrapper(sgd)
    return DeepKDOptimWrapper(sgd, delta=delta, merge=merge)


def schedulers(wrapper):
    return [
        LinearLR(wrapper, start_factor=0.1, by_epoch=False, begin=0, end=4),
        MultiStepLR(wrapper, milestones=[5, 7], by_epoch=False),
        LinearMomentum(wrapper, start_factor=0.9, by_epoch=False, begin=0,
                       end=6),
    ]


def train(net, wrapper, scheduled, steps):
    for step in steps:
        losses = toy_streams(net, toy_batch(step, dtype=torch.float))
        plain = not isinstance(wrapper, DeepKDOptimWrapper)
        wrapper.update_params(sum(losses.values()) if plain else losses)
        for scheduler in scheduled:
            scheduler.step()


def settings(wrapper):
    return [(g['lr'], g['momentum'], g.get('initial_lr'))
            for g in wrapper.param_groups]


def test_schedulers_at_delta_zero_are_mmengines_bit_for_bit():
    results = []
    for delta in (None, 0.):
        net = toy_net(dtype=torch.float)
        wrapper = build(net, delta)
        train(net, wrapper, schedulers(wrapper), range(10))
        results.append((weights(net), settings(wrapper)))

    assert equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_schedulers_move_the_momentum_of_every_stream():
    seen = []
    net = toy_net(dtype=torch.float)
    wrapper = build(net, 0.05)
    group = wrapper.param_groups[0]
    scheduled = schedulers(wrapper)
    for step in range(8):
        seen.append(group['momentum'])
        train(net, wrapper, scheduled, [step])

    assert seen[0] == pytest.approx(0.81) and seen[-1] == pytest.approx(0.9)
    assert group['offsets']['target'] == -0.05


@pytest.mark.parametrize('merge', [True, False])
def test_a_resumed_run_is_the_straight_run_bit_for_bit(merge):
    net = toy_net(dtype=torch.float)
    wrapper = build(net, 0.05, merge)
    scheduled = schedulers(wrapper)
    train(net, wrapper, scheduled, range(5))
    saved = copy.deepcopy(
        (net.state_dict(), wrapper.state_dict(),
         [s.state_dict() for s in scheduled]))
    train(net, wrapper, scheduled, range(5, 10))

    other = toy_net(1, torch.float)
    resumed = build(other, 0.05, merge)
    rescheduled = schedulers(resumed)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for scheduler, state in zip(rescheduled, saved[2]):
        scheduler.load_state_dict(state)
    train(other, resumed, rescheduled, range(5, 10))

    assert equal(weights(net), weights(other))
    assert settings(wrapper) == settings(resumed)


def test_the_wrapper_reports_rate_and_momentum_as_mmengines():
    values = []
    for delta in (None, 0.05):
        wrapper = build(toy_net(), delta)
        values.append((wrapper.get_lr(), wrapper.get_momentum()))

    assert values[0] == values[1]
