"""AmpDeepKDOptimWrapper on the CPU."""
import copy

import pytest
import torch
from torch.optim import SGD

from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DeepKDOptimWrapper,
    loss_scaler,
)
from tests.helpers.float16 import or_refused
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


def wrap(net, **kwargs):
    kwargs = {'delta': 0.05, 'dtype': 'float16', **kwargs}
    return AmpDeepKDOptimWrapper(
        SGD(net.parameters(), lr=0.1, momentum=0.9), **kwargs)


def unscaled(net, **kwargs):
    return DeepKDOptimWrapper(
        SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05, **kwargs)


def train(net, wrapper, steps=3, start=0):
    for step in range(start, start + steps):
        x = toy_batch(step, dtype=torch.float)
        wrapper.update_params(toy_streams(net, x))
    return weights(net)


def buffers(wrapper):
    return copy.deepcopy([
        value for state in wrapper.optimizer.state.values()
        for value in state.values()
    ])


@pytest.mark.parametrize('dtype', [torch.float16, 'float16'])
@or_refused
def test_the_forward_runs_in_float16(dtype):
    check_precision(dtype, torch.float16)


@pytest.mark.parametrize('dtype', [None, 'bfloat16', torch.bfloat16])
def test_the_forward_runs_in_bfloat16(dtype):
    check_precision(dtype, torch.bfloat16)


def check_precision(dtype, used):
    net = toy_net(dtype=torch.float)
    before = weights(net)
    # 65536, the usual start, overflows here, and a first step is skipped.
    wrapper = wrap(net, dtype=dtype, loss_scale=128.)
    with wrapper.optim_context(net):
        out = net(toy_batch(dtype=torch.float))
        losses = toy_streams(net, toy_batch(dtype=torch.float))
    wrapper.update_params(losses)

    assert out.dtype is used
    assert wrapper.loss_scaler.is_enabled() is (used is torch.float16)
    assert all(p.dtype is torch.float for p in net.parameters())
    assert difference(weights(net), before) > 1e-3


@or_refused
@pytest.mark.parametrize('merge', [True, False])
@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('counts', [1, 2])
def test_a_scaled_step_equals_an_unscaled_one(merge, clip, counts):
    kwargs = dict(merge=merge, clip_grad=clip, accumulative_counts=counts)
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    mine = train(net, wrap(net, **kwargs), 4)

    # A scale is a power of two: nothing is rounded.
    assert equal(mine, train(other, unscaled(other, **kwargs), 4))


def spoil(losses, **values):
    """Give streams an infinite or undefined gradient, as an overflow does."""
    return {
        name: spoil_gradient(loss, values[name]) if name in values else loss
        for name, loss in losses.items()
    }


INF, NAN = float('inf'), float('nan')


@or_refused
@pytest.mark.parametrize('merge', [True, False])
@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('values', [
    *(dict([(s, v)]) for s in STREAMS for v in (INF, NAN)),
    dict(task=INF, target=-INF), dict(target=INF, non_target=-INF)
], ids=str)
def test_a_stream_that_overflows_skips_the_whole_step(merge, clip, values):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, merge=merge, clip_grad=clip)
    before = train(net, wrapper, 2)
    held = buffers(wrapper)
    losses = toy_streams(net, toy_batch(2, dtype=torch.float))
    wrapper.update_params(spoil(losses, **values))

    assert equal(weights(net), before)
    assert len(held) >= 8 and equal(buffers(wrapper), held)
    assert wrapper.loss_scaler.get_scale() == 2.**15

    other = toy_net(dtype=torch.float)
    reference = unscaled(other, merge=merge, clip_grad=clip)
    train(other, reference, 2)
    assert equal(train(net, wrapper, 1, start=3),
                 train(other, reference, 1, start=3))


@or_refused
def test_infinities_that_cancel_in_one_element_skip_the_step():
    param = torch.nn.Parameter(torch.ones(2))
    wrapper = AmpDeepKDOptimWrapper(
        SGD([param], lr=0.1), offsets=dict(task=0., target=0.1),
        dtype='float16')
    spiked = spoil_gradient(param, torch.tensor([INF, 1.]))
    wrapper.update_params(dict(task=spiked.sum(), target=-spiked.sum()))

    assert param.tolist() == [1, 1]
    assert wrapper.loss_scaler.get_scale() == 2.**15


@or_refused
def test_an_overflow_in_one_accumulated_part_skips_the_step():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, accumulative_counts=2)
    before = weights(net)
    losses = toy_streams(net, toy_batch(dtype=torch.float))
    wrapper.update_params(spoil(losses, target=INF))
    train(net, wrapper, 1)

    assert equal(weights(net), before)
    assert not any(wrapper.optimizer.state.values())


@or_refused
def test_only_constant_losses_change_nothing():
    net = toy_net(dtype=torch.float)
    before = weights(net)
    wrapper = wrap(net)
    wrapper.update_params(dict(task=torch.ones(())))

    assert equal(weights(net), before)


@or_refused
def test_a_gradient_that_float16_would_lose_is_kept_by_the_scale():
    param = torch.nn.Parameter(torch.ones(1))
    wrapper = AmpDeepKDOptimWrapper(
        SGD([param], lr=1e6), offsets=dict(task=0.), dtype='float16')
    wrapper.update_params(dict(task=(param.half() * 1e-4).float().sum() / 1e4))

    # 1e-8 is zero in float16.
    assert float(1 - param.detach()) == pytest.approx(1e-2, rel=1e-2)


@or_refused
def test_the_loss_scale_is_saved_and_restored():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, loss_scale=dict(init_scale=8., growth_interval=2))
    train(net, wrapper, 3)
    state = copy.deepcopy(wrapper.state_dict())
    other = toy_net(dtype=torch.float)
    other.load_state_dict(net.state_dict())
    resumed = wrap(other)
    resumed.load_state_dict(state)

    assert resumed.loss_scaler.get_scale() == 16.
    assert equal(train(net, wrapper, 3, start=3),
                 train(other, resumed, 3, start=3))


@or_refused
def test_the_state_of_a_run_without_scale_loads():
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    plain = unscaled(net)
    train(net, plain, 3)
    other.load_state_dict(net.state_dict())
    resumed = wrap(other, loss_scale=64.)
    resumed.load_state_dict(copy.deepcopy(plain.state_dict()))

    assert resumed.loss_scaler.get_scale() == 64.
    assert equal(train(net, plain, 3, start=3),
                 train(other, resumed, 3, start=3))


@pytest.mark.parametrize('dtypes', [('float16', 'bfloat16'),
                                    ('bfloat16', 'float16')])
@or_refused
def test_the_precision_may_change_on_resume(dtypes):
    net = toy_net(dtype=torch.float)
    first, then = (wrap(net, dtype=dtype) for dtype in dtypes)
    train(net, first, 2)
    then.load_state_dict(copy.deepcopy(first.state_dict()))

    assert equal(buffers(then), buffers(first))


@or_refused
def test_loading_leaves_the_given_state_whole():
    wrapper = wrap(toy_net(dtype=torch.float))
    state = wrapper.state_dict()
    wrapper.load_state_dict(state)

    assert 'loss_scaler' in state


@or_refused
@pytest.mark.parametrize('scale', [128, 128.])
def test_a_static_scale_stays(scale):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, loss_scale=dict(init_scale=64.))
    other = wrap(net, loss_scale=scale, nonfinite='skip')
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    losses = toy_streams(net, toy_batch(dtype=torch.float))
    other.update_params(spoil(losses, task=INF))
    train(net, other, 2)

    assert other.loss_scaler.get_scale() == 128.


@pytest.mark.parametrize('dtype', ['float32', torch.float64, 16])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(ValueError, match="must be 'float16' or 'bfloat16'"):
        wrap(toy_net(), dtype=dtype)


@or_refused
@pytest.mark.parametrize('scale', ['static', None, [1]])
def test_another_loss_scale_is_refused(scale):
    with pytest.raises(TypeError, match="must be 'dynamic', a number or a d"):
        wrap(toy_net(), loss_scale=scale)


def test_float16_without_a_scaler_for_the_cpu_is_refused(monkeypatch):
    monkeypatch.setattr(loss_scaler, '_SCALES_ON_CPU', False)

    with pytest.raises(ValueError, match="use dtype='bfloat16'"):
        wrap(toy_net(dtype=torch.float), dtype='float16')


@or_refused
def test_a_scale_that_collapses_stops_training():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net)
    before = weights(net)
    with pytest.raises(FloatingPointError, match=(
            '^iteration 38: the loss scale has fallen to 4.8e-07.*bfloat16')):
        # From 2**16 to 2**-21, half a step each.
        for _ in range(50):
            losses = toy_streams(net, toy_batch(dtype=torch.float))
            wrapper.update_params(spoil(losses, target=INF))

    assert equal(weights(net), before)


@or_refused
def test_a_small_scale_that_the_user_set_is_left_alone():
    net = toy_net(dtype=torch.float)
    before = weights(net)
    train(net, wrap(net, loss_scale=2.**-22))

    assert difference(weights(net), before) > 1e-3


@or_refused
@pytest.mark.parametrize('value', [INF, NAN])
def test_a_loss_that_is_not_finite_stops_training(value):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net)
    before = train(net, wrapper, 1)
    losses = toy_streams(net, toy_batch(dtype=torch.float))
    with pytest.raises(FloatingPointError, match=(
            r'iteration 2: the loss task \(stream task\) is')):
        wrapper.update_params({**losses, 'task': losses['task'] * value})

    assert equal(weights(net), before)


@or_refused
def test_a_loss_that_is_not_finite_is_skipped_at_the_same_scale():
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    wrapper = wrap(net, nonfinite='skip')
    train(net, wrapper, 1)
    losses = toy_streams(net, toy_batch(dtype=torch.float))
    skipped = wrapper.skipped_steps
    wrapper.update_params({**losses, 'task': losses['task'] * NAN})

    assert wrapper.loss_scaler.get_scale() == 2.**16
    assert wrapper.skipped_steps == skipped + 1
    assert equal(train(net, wrapper, 2, start=1), train(other, wrap(other)))
