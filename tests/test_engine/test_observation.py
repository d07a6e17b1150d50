"""What an observer of DeepKDOptimWrapper is shown, and that it only looks."""
import pytest
import torch
from torch.optim import SGD, AdamW

from mmdeepkd.engine import AmpDeepKDOptimWrapper, DeepKDOptimWrapper
from tests.helpers.float16 import AVAILABLE, or_refused
from tests.helpers.toys import (
    STREAMS,
    difference,
    equal,
    spoil_gradient,
    toy_batch,
    toy_net,
    toy_streams,
    weights,
)


def wrap(net, amp=False, optimizer=SGD, **kwargs):
    if 'offsets' not in kwargs:
        kwargs['delta'] = 0.05
    kind = DeepKDOptimWrapper
    if amp:
        kind, kwargs = AmpDeepKDOptimWrapper, dict(
            kwargs, dtype='float16', loss_scale=128.)
    options = dict(momentum=0.9) if optimizer is SGD else {}
    return kind(optimizer(net.parameters(), lr=0.1, **options), **kwargs)


class Observer:
    """Keeps copies of what it is shown."""

    def __init__(self):
        self.grads, self.losses = [], []

    def __call__(self, observation):
        self.grads.append({
            stream: [None if g is None else g.clone() for g in values]
            for stream, values in observation.grads.items()})
        self.losses.append(
            {name: float(v) for name, v in observation.losses.items()})


def net_and_data(dtype=torch.float64):
    return toy_net(dtype=dtype), lambda step: toy_batch(step, dtype=dtype)


def apart(losses, net, factor=1.):
    """The gradient of every stream, by a backward of its own."""
    return {
        stream: [factor * g for g in torch.autograd.grad(
            loss, list(net.parameters()), retain_graph=True)]
        for stream, loss in losses.items()
    }


def check_update(observer, number, expected, tolerance=1e-14):
    shown = observer.grads[number]
    assert list(shown) == list(STREAMS)
    for stream in STREAMS:
        assert difference(shown[stream], expected[stream]) <= tolerance
        assert max(float(g.abs().max()) for g in expected[stream]) > 1e-3


@pytest.mark.parametrize('merge', [True, False])
@pytest.mark.parametrize('clip', [None, dict(max_norm=1e-3)])
@pytest.mark.parametrize('optimizer', [SGD, AdamW])
def test_every_stream_is_shown_unclipped(merge, clip, optimizer):
    net, batch = net_and_data()
    wrapper = wrap(net, merge=merge, clip_grad=clip, optimizer=optimizer)
    observer = Observer()
    wrapper.observe(observer)
    for step in range(3):
        losses = toy_streams(net, batch(step))
        expected = apart(losses, net)
        wrapper.update_params(losses)
        check_update(observer, step, expected)
        assert observer.losses[step] == {
            name: float(loss.detach()) for name, loss in losses.items()}


def test_three_streams_of_one_momentum_are_taken_apart():
    net, batch = net_and_data()
    wrapper = wrap(net, offsets=dict.fromkeys(STREAMS, 0.))
    observer = Observer()
    wrapper.observe(observer)
    losses = toy_streams(net, batch(0))
    expected = apart(losses, net)
    wrapper.update_params(losses)

    check_update(observer, 0, expected)


@or_refused
@pytest.mark.parametrize('merge', [True, False])
@pytest.mark.parametrize('clip', [None, dict(max_norm=1e-3)])
@pytest.mark.parametrize('counts', [1, 2])
def test_scaled_gradients_are_shown_unscaled(merge, clip, counts):
    shown = []
    for amp in (True, False):
        net, batch = net_and_data(torch.float)
        wrapper = wrap(net, amp, merge=merge, clip_grad=clip,
                       accumulative_counts=counts)
        observer = Observer()
        wrapper.observe(observer)
        for step in range(4):
            wrapper.update_params(toy_streams(net, batch(step)))
        shown.append(observer)

    # A scale is a power of two: nothing is rounded.
    scaled, plain = shown
    assert len(scaled.grads) == len(plain.grads) == 4 // counts
    assert scaled.losses == plain.losses
    for mine, other in zip(scaled.grads, plain.grads):
        assert all(equal(mine[s], other[s]) for s in STREAMS)


@pytest.mark.parametrize('merge', [True, False])
def test_an_accumulated_update_is_shown_once(merge):
    net, batch = net_and_data()
    wrapper = wrap(net, merge=merge, accumulative_counts=3)
    observer = Observer()
    wrapper.observe(observer)
    whole = torch.cat([batch(step) for step in range(3)])
    losses = toy_streams(net, whole)
    expected = apart(losses, net)
    for step in range(3):
        wrapper.update_params(toy_streams(net, batch(step)))

    assert len(observer.grads) == 1
    check_update(observer, 0, expected)
    assert observer.losses[0] == pytest.approx(
        {name: float(loss.detach()) for name, loss in losses.items()})


def test_only_whole_updates_are_shown():
    net, batch = net_and_data()
    wrapper = wrap(net, accumulative_counts=2)
    observer = Observer()
    counts = []
    for step in range(8):
        if step == 1:
            wrapper.observe(observer)
        if step == 5:
            # In the middle of an update, which is shown yet.
            wrapper.observe(None)
        wrapper.update_params(toy_streams(net, batch(step)))
        counts.append(len(observer.grads))

    assert counts == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize('amp', [False, True], ids=['float32', 'float16'])
def test_a_skipped_update_is_not_shown(amp):
    net, batch = net_and_data(torch.float)
    # Without a scaler (bfloat16) it is the wrapper that skips.
    wrapper = wrap(net, amp and AVAILABLE, nonfinite='skip')
    observer = Observer()
    wrapper.observe(observer)
    for step in range(3):
        losses = toy_streams(net, batch(step))
        if step == 1:
            losses['non_target'] = spoil_gradient(
                losses['non_target'], float('inf'))
        wrapper.update_params(losses)

    assert len(observer.grads) == 2
    assert all(g.isfinite().all() for shown in observer.grads
               for values in shown.values() for g in values)


def test_a_stream_without_a_loss_is_not_shown():
    net, batch = net_and_data()
    wrapper = wrap(net)
    observer = Observer()
    wrapper.observe(observer)
    losses = toy_streams(net, batch(0))
    expected = apart(losses, net)
    del losses['task']
    wrapper.update_params(losses)

    # The buffer is named after task, which is not there.
    assert list(observer.grads[0]) == ['target', 'non_target']
    assert difference(observer.grads[0]['non_target'],
                      expected['non_target']) <= 1e-14


def test_a_loss_that_reaches_nothing_has_no_gradient():
    net, batch = net_and_data()
    wrapper = wrap(net)
    observer = Observer()
    wrapper.observe(observer)
    losses = toy_streams(net, batch(0))
    wrapper.update_params(dict(
        losses, target=torch.ones(()), non_target=torch.ones(())))

    for stream in ('target', 'non_target'):
        assert observer.grads[0][stream] == [None] * 4
    assert observer.losses[0]['target'] == 1


def test_a_plain_loss_is_one_stream():
    net, batch = net_and_data()
    wrapper = wrap(net)
    observer = Observer()
    wrapper.observe(observer)
    loss = toy_streams(net, batch(0))['task']
    expected = apart(dict(plain=loss), net)
    wrapper.update_params(loss)

    assert list(observer.grads[0]) == ['plain']
    assert equal(observer.grads[0]['plain'], expected['plain'])


@pytest.mark.parametrize('kwargs', [
    dict(), dict(merge=False), dict(accumulative_counts=2),
    dict(clip_grad=dict(max_norm=0.01)),
    dict(offsets=dict.fromkeys(STREAMS, 0.)), dict(optimizer=AdamW),
], ids=str)
def test_the_training_is_the_same_to_the_bit(kwargs):
    trained = []
    for observer in (None, Observer()):
        net, batch = net_and_data(torch.float)
        wrapper = wrap(net, **kwargs)
        wrapper.observe(observer)
        for step in range(6):
            wrapper.update_params(toy_streams(net, batch(step)))
        trained.append([
            *weights(net),
            *(value for state in wrapper.optimizer.state.values()
              for value in state.values())])

    assert observer.grads
    assert len(trained[0]) > 4 and equal(*trained)
