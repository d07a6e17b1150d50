"""The stream of feature losses: its momentum, and that of their adapters."""
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DeepKDOptimWrapper,
    optim_wrapper,
)
from tests.helpers.toys import difference, equal, toy_batch, toy_streams
from tests.helpers.toys import weights as weights_of

DECAY = 0.02
RATE = 0.1
ALL = dict(task=0.05, target=-0.05, non_target=0.05)


class Net(nn.Module):
    """A body, a head, and an adapter that only the feature loss reaches."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh())
        self.head = nn.Linear(8, 5)
        self.distill = nn.Linear(8, 3)
        self.to(dtype)

    def forward(self, x):
        feature = self.body(x)
        matching = (self.distill(feature) - 1).square().mean()
        # Of its own, as a diffusion loss.
        own = self.distill(feature.detach()).sin().mean()
        return dict(toy_streams(self.head, feature), feature=matching + own)


def build(offsets, precision=torch.float64, kind=DeepKDOptimWrapper,
          rates=None, **kwargs):
    net = Net(precision)
    groups = [dict(params=list(part.parameters()),
                   lr=RATE * (rates or {}).get(name, 1.))
              for name, part in net.named_children()]
    # MMEngine's has no streams.
    if kind is not OptimWrapper:
        kwargs['delta' if isinstance(offsets, float) else 'offsets'] = offsets
    sgd = SGD(groups, lr=RATE, momentum=0.9, weight_decay=DECAY)
    return net, kind(sgd, **kwargs)


def train(net, wrapper, steps=5, dtype=torch.float64):
    for step in range(steps):
        wrapper.update_params(net(toy_batch(step, dtype=dtype)))
    return weights_of(net)


def slow(offsets, steps=5, max_norm=None, counts=1, rates=None):
    """Each stream alone, parameter by parameter."""
    net = Net()
    named = dict(net.named_parameters())
    buffers = {}
    for step in range(0, steps * counts, counts):
        grads = {}
        for part in range(step, step + counts):
            for stream, loss in net(toy_batch(part)).items():
                found = torch.autograd.grad(
                    loss / counts, list(named.values()), retain_graph=True,
                    allow_unused=True)
                for name, grad in zip(named, found):
                    if grad is not None:
                        key = stream, name
                        grads[key] = grads.get(key, 0) + grad
        total = sum(
            sum(g for (_, other), g in grads.items() if other == name)
            .square().sum() for name in named).sqrt()
        factor = 1. if max_norm is None else min(
            1., max_norm / (float(total) + 1e-6))
        with torch.no_grad():
            for name, param in named.items():
                moved = torch.zeros_like(param)
                for stream, offset in offsets.items():
                    grad = factor * grads.get((stream, name), 0)
                    if stream == 'task':
                        # Every parameter here gets a gradient of some stream.
                        grad = grad + DECAY * param
                    buffer = (0.9 + offset) * buffers.get(
                        (stream, name), 0) + grad
                    buffers[stream, name] = buffer
                    moved = moved + buffer
                rate = (rates or {}).get(name.split('.')[0], 1.)
                param -= RATE * rate * moved
    return weights_of(net)


def with_feature(offset):
    return dict(ALL, feature=offset)


CASES = {
    'delta': (0.05, with_feature(0.05), 2),
    "the target's": (with_feature(-0.05), with_feature(-0.05), 2),
    'its own': (with_feature(0.), with_feature(0.), 3),
    'its own, slow': (with_feature(0.08), with_feature(0.08), 3),
    'without momentum': (with_feature(-0.9), with_feature(-0.9), 3),
    'all alike': (dict.fromkeys(with_feature(0.), 0.02),
                  dict.fromkeys(with_feature(0.), 0.02), 1),
}


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('merge', [True, False])
def test_every_stream_has_its_momentum(name, merge):
    given, offsets, _ = CASES[name]
    net, wrapper = build(given, merge=merge)

    assert difference(train(net, wrapper), slow(offsets)) < 1e-12


def test_another_momentum_of_the_features_is_another_run():
    """Of the student, too: the loop above is no identity."""
    found = [slow(with_feature(offset)) for offset in (0.05, 0.)]

    assert all(difference([a], [b]) > 1e-4 for a, b in zip(*found))


@pytest.mark.parametrize('name', CASES)
def test_there_is_one_backward_per_distinct_momentum(name, monkeypatch):
    given, _, count = CASES[name]
    net, wrapper = build(given)
    calls = []
    real = optim_wrapper.stream_gradients
    monkeypatch.setattr(
        optim_wrapper, 'stream_gradients',
        lambda *args, **kwargs: calls.append(0) or real(*args, **kwargs))
    train(net, wrapper, steps=2)

    assert len(calls) == 2 * count


def test_weight_decay_reaches_the_adapters():
    """By the stream task, which has no gradient there."""
    net, wrapper = build(with_feature(0.))
    train(net, wrapper, steps=1)
    buffers = wrapper.optimizer.state[net.distill.weight]

    assert torch.allclose(buffers['task_momentum_buffer'],
                          DECAY * Net().distill.weight)
    assert set(buffers) >= {'task_momentum_buffer', 'feature_momentum_buffer'}


@pytest.mark.parametrize('options, slowly', [
    (dict(clip_grad=dict(max_norm=0.05)), dict(max_norm=0.05)),
    (dict(accumulative_counts=3), dict(counts=3)),
    (dict(accumulative_counts=2, clip_grad=dict(max_norm=0.05)),
     dict(counts=2, max_norm=0.05)),
    (dict(rates=dict(distill=0.1)), dict(rates=dict(distill=0.1))),
], ids=['clip', 'accumulation', 'both', 'lr of the adapters'])
def test_with_the_rest_of_the_wrapper(options, slowly):
    """What is clipped is the norm of student and adapters together."""
    net, wrapper = build(with_feature(0.), **options)
    found = train(net, wrapper, steps=4 * slowly.get('counts', 1))

    assert difference(found, slow(with_feature(0.), 4, **slowly)) < 1e-12


def test_under_autocast():
    plain, wrapper = build(with_feature(0.), torch.float)
    exact = train(plain, wrapper, dtype=torch.float)
    net, wrapper = build(with_feature(0.), torch.float,
                         AmpDeepKDOptimWrapper, dtype='bfloat16')
    for step in range(5):
        with wrapper.optim_context(net):
            losses = net(toy_batch(step, dtype=torch.float))
        wrapper.update_params(losses)

    assert 0 < difference(weights_of(net), exact) < 0.02


@pytest.mark.parametrize('kind, clip', [
    (DeepKDOptimWrapper, None), (DeepKDOptimWrapper, 100.),
    (DeepKDOptimWrapper, 0.05), (OptimWrapper, 0.05)],
    ids=['no clip', 'clip that is not reached', 'clip', "MMEngine's clip"])
def test_a_student_that_features_do_not_reach_is_not_moved(kind, clip):
    """Of a feature loss of weight 0 only the adapters learn.

    But what is clipped is one norm, of student and adapters together, as
    MMEngine's own wrapper has it: there they shorten the student's steps.
    """
    found = []
    for trained in (False, True):
        net, wrapper = build(
            with_feature(0.) if trained else ALL, kind=kind,
            clip_grad=None if clip is None else dict(max_norm=clip))
        for step in range(4):
            losses = net(toy_batch(step))
            del losses['feature']
            if trained:
                losses['feature'] = net.distill(
                    net.body(toy_batch(step)).detach()).sin().mean()
            wrapper.update_params(
                losses if kind is DeepKDOptimWrapper else sum(
                    losses.values()))
        found.append(weights_of(net))

    count = len([*net.body.parameters(), *net.head.parameters()])
    student = [weights[:count] for weights in found]
    if clip == 0.05:
        assert all(difference([a], [b]) > 1e-4 for a, b in zip(*student))
    else:
        assert equal(*student)
    assert not equal(found[0][count:], found[1][count:])
