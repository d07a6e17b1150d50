"""DeepKDOptimWrapper: what it accepts, and what one update does."""
import copy
from unittest import mock

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from torch.optim import SGD
from torch.utils.checkpoint import checkpoint

import mmdeepkd.registry  # noqa: F401
from mmdeepkd.engine import (
    DecoupledAdamW,
    DecoupledSGD,
    DeepKDOptimWrapper,
)
from mmdeepkd.engine import optim_wrapper as wrapper_module
from tests.helpers.toys import (
    DELTAS,
    STREAMS,
    difference,
    equal,
    toy_batch,
    toy_net,
    toy_streams,
    weights,
    with_streams,
)


def sgd(net, **kwargs):
    return SGD(net.parameters(), **{'lr': 0.1, 'momentum': 0.9, **kwargs})


def wrap(net, delta=0.05, **kwargs):
    if 'offsets' in kwargs:
        delta = None
    return DeepKDOptimWrapper(sgd(net), delta=delta, **kwargs)


def train(net, wrapper, steps=4, losses=toy_streams, start=0, size=8):
    for step in range(start, start + steps):
        wrapper.update_params(losses(net, toy_batch(
            step, size, next(net.parameters()).dtype)))
    return weights(net)


def plain_loss(net, x):
    return sum(toy_streams(net, x).values())


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet'])
def test_it_is_built_from_a_config_with_sgd(scope):
    net = toy_net()
    config = dict(
        type='mmdeepkd.DeepKDOptimWrapper',
        delta=0.05,
        optimizer=dict(type='SGD', lr=0.1, momentum=0.8, weight_decay=1e-3,
                       dampening=0.1),
        paramwise_cfg=dict(bias_decay_mult=0., bias_lr_mult=2.,
                           custom_keys={'2': dict(lr_mult=0.1)}),
        clip_grad=dict(max_norm=1., norm_type=2),
        accumulative_counts=2)
    with DefaultScope.overwrite_default_scope(scope):
        wrapper = build_optim_wrapper(net, copy.deepcopy(config))
        config.update(type='OptimWrapper')
        del config['delta']
        plain = build_optim_wrapper(net, config)

    assert isinstance(wrapper.optimizer, DecoupledSGD)
    mine, theirs = (w.optimizer.param_groups for w in (wrapper, plain))
    assert len(mine) == len(theirs) == 4
    for group, expected in zip(mine, theirs):
        assert group['params'][0] is expected['params'][0]
        assert group['offsets'] == dict(DELTAS, distill=0.05, feature=0.05)
        for key in ('lr', 'momentum', 'weight_decay', 'dampening'):
            assert group[key] == expected[key]


def test_offsets_take_the_place_of_delta():
    wrapper = wrap(toy_net(), offsets=dict(task=-0.075, distill=0.075))

    assert wrapper.optimizer.leaders() == dict(
        task='task', distill='distill', plain='plain')


@pytest.mark.parametrize('kwargs', [
    dict(delta=None), dict(delta=0.05, offsets=dict(task=0.))
])
def test_delta_and_offsets_are_exclusive(kwargs):
    with pytest.raises(ValueError, match='exactly one of delta.* and offsets'):
        DeepKDOptimWrapper(sgd(toy_net()), **kwargs)


@pytest.mark.parametrize('build', [
    lambda p: torch.optim.Adam(p),
    lambda p: torch.optim.RMSprop(p, momentum=0.9),
    lambda p: DecoupledSGD(p, lr=0.1), lambda p: DecoupledAdamW(p)
])
def test_an_optimizer_it_cannot_decouple_is_named(build):
    optimizer = build(toy_net().parameters())
    name = type(optimizer).__name__
    with pytest.raises(
            TypeError, match=f"cannot decouple {name}: use.*'SGD'.*'AdamW'"):
        DeepKDOptimWrapper(optimizer, delta=0.05)


@pytest.mark.parametrize('option', ['nesterov', 'maximize'])
def test_an_option_without_meaning_is_named(option):
    optimizer = sgd(toy_net(), **{option: True})
    with pytest.raises(ValueError, match=f'does not support {option}=True'):
        DeepKDOptimWrapper(optimizer, delta=0.05)


def test_the_release_takes_offsets_and_no_delta():
    with pytest.raises(ValueError, match=r'needs offsets, not delta: .*'
                       r'offsets=dict\(task=-0.05, distill=0.05\)\.$'):
        DeepKDOptimWrapper(sgd(toy_net()), delta=0.05, semantics='released')


def test_an_optimizer_that_has_stepped_is_refused():
    net = toy_net()
    optimizer = sgd(net)
    plain_loss(net, toy_batch()).backward()
    optimizer.step()
    with pytest.raises(ValueError, match='has not stepped yet'):
        DeepKDOptimWrapper(optimizer, delta=0.05)


def test_clipping_by_value_is_refused():
    with pytest.raises(ValueError, match="clip_grad type 'value'.*max_norm"):
        wrap(toy_net(), clip_grad=dict(type='value', clip_value=1.))


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match='delat'):
        DeepKDOptimWrapper(sgd(toy_net()), delat=0.05)


def test_a_stream_without_momentum_is_named():
    net = toy_net()
    wrapper = wrap(net, offsets=dict(task=0., target=0.))
    with pytest.raises(KeyError, match="'non_target'.*offsets=dict"):
        wrapper.update_params(toy_streams(net, toy_batch()))


@pytest.mark.parametrize('delta, merge, count', [
    (0.05, True, 2), (0.05, False, 3), (0., True, 1), (0., False, 3)
])
def test_there_is_one_backward_per_distinct_momentum(
        monkeypatch, delta, merge, count):
    calls = []
    grad = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, 'grad',
        lambda *args, **kwargs: (calls.append(1), grad(*args, **kwargs))[1])
    net = toy_net()
    train(net, wrap(net, delta, merge=merge), steps=1)

    assert len(calls) == count


@pytest.mark.parametrize('merge', [True, False])
@pytest.mark.parametrize('semantics', ['paper', 'released'])
def test_a_step_is_the_optimizer_on_the_gradients_of_the_streams(
        merge, semantics):
    net, other = toy_net(), toy_net()
    params = list(other.parameters())
    optimizer = DecoupledSGD(params, 0.1, offsets=DELTAS, merge=False,
                             semantics=semantics)
    for step in range(4):
        losses = toy_streams(other, toy_batch(step))
        optimizer.step({
            name: torch.autograd.grad(loss, params, retain_graph=True,
                                      allow_unused=True)
            for name, loss in losses.items()
        })
    wrapper = wrap(net, offsets=DELTAS, merge=merge, semantics=semantics)

    assert difference(train(net, wrapper), params) <= 1e-12


@pytest.mark.parametrize('form', [
    toy_streams, lambda net, x: with_streams(toy_streams(net, x))
])
def test_a_total_with_streams_is_its_streams(form):
    net, other = toy_net(), toy_net()

    assert equal(train(net, wrap(net), losses=form),
                 train(other, wrap(other)))


def mmengine_weights(net, losses=plain_loss, **kwargs):
    return train(net, OptimWrapper(sgd(net), **kwargs), losses=losses)


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('counts', [1, 2])
def test_a_plain_scalar_trains_as_mmengine_bit_for_bit(clip, counts):
    kwargs = dict(clip_grad=clip, accumulative_counts=counts)
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    mine = train(net, wrap(net, **copy.deepcopy(kwargs)), losses=plain_loss)

    assert equal(mine, mmengine_weights(other, **copy.deepcopy(kwargs)))


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('counts', [1, 2])
def test_delta_zero_trains_as_mmengine_bit_for_bit(clip, counts):
    kwargs = dict(clip_grad=clip, accumulative_counts=counts)
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    mine = train(net, wrap(net, 0., **copy.deepcopy(kwargs)))

    assert equal(mine, mmengine_weights(other, **copy.deepcopy(kwargs)))


def test_mmengines_own_wrapper_trains_on_the_total():
    net, other = toy_net(), toy_net()
    mine = mmengine_weights(
        net, lambda net, x: with_streams(toy_streams(net, x)))

    assert equal(mine, mmengine_weights(other))


def slow_clipped(net, max_norm, norm_type):
    """Streams of one update, clipped by the norm of their sum."""
    params = list(net.parameters())
    grads = {
        name: torch.autograd.grad(loss, params, retain_graph=True)
        for name, loss in toy_streams(net, toy_batch()).items()
    }
    total = [float(v) for values in zip(*grads.values())
             for v in sum(values).flatten()]
    if norm_type == 'inf':
        norm = max(abs(v) for v in total)
    else:
        norm = sum(abs(v)**norm_type for v in total)**(1 / norm_type)
    factor = min(1., max_norm / (norm + 1e-6))
    return {
        name: [v * factor for v in values]
        for name, values in grads.items()
    }, norm


@pytest.mark.parametrize('norm_type', [1, 2, 'inf'])
@pytest.mark.parametrize('max_norm', [1e-3, 1e3])
def test_clipping_is_by_the_norm_of_the_summed_gradient(max_norm, norm_type):
    net, other = toy_net(), toy_net()
    grads, norm = slow_clipped(other, max_norm, norm_type)
    DecoupledSGD(other.parameters(), 0.1, offsets=DELTAS).step(grads)
    wrapper = wrap(net, clip_grad=dict(max_norm=max_norm,
                                       norm_type=norm_type))
    mine = train(net, wrapper, steps=1)
    logged = wrapper.message_hub.get_scalar('train/grad_norm').current()

    assert difference(mine, weights(other)) <= 1e-12
    assert logged == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize('delta', [0., 0.05])
def test_a_gradient_tensor_that_parameters_share_is_clipped_once(delta):
    params = [torch.nn.Parameter(torch.ones(4)) for _ in range(2)]
    wrapper = DeepKDOptimWrapper(
        SGD(params, lr=1.), offsets=dict(task=0., target=delta),
        clip_grad=dict(max_norm=1.))
    wrapper.update_params(dict(task=(params[0] + params[1]).sum()))

    # The norm of eight ones is 2.83.
    expected = torch.full((4, ), 1 - 8**-0.5)
    assert all(torch.allclose(p, expected, atol=1e-6) for p in params)


def test_the_callers_clip_grad_is_not_modified():
    clip = dict(type='norm', max_norm=1.)
    wrap(toy_net(), clip_grad=clip)

    assert clip == dict(type='norm', max_norm=1.)


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
@pytest.mark.parametrize('dtype, bound', [(torch.float, 1e-6),
                                          (torch.double, 1e-12)])
def test_two_half_batches_equal_the_whole(clip, dtype, bound):
    net, other = toy_net(dtype=dtype), toy_net(dtype=dtype)
    halves = wrap(net, accumulative_counts=2, clip_grad=clip)
    whole = wrap(other, clip_grad=clip)
    for step in range(4):
        x = toy_batch(step, 8, dtype)
        for half in x.chunk(2):
            halves.update_params(toy_streams(net, half))
        whole.update_params(toy_streams(other, x))

    assert difference(weights(net), weights(other)) <= bound


def test_a_remainder_of_accumulation_is_not_lost():
    net, other = toy_net(), toy_net()
    wrapper = wrap(net, accumulative_counts=2)
    wrapper.initialize_count_status(net, 0, 3)
    train(net, wrapper, steps=3)
    reference = wrap(other, accumulative_counts=2)
    train(other, reference, steps=2)
    single = wrap(other)
    single.load_state_dict(reference.state_dict())
    train(other, single, steps=1, start=2)

    assert equal(weights(net), weights(other))


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
def test_frozen_parameters_stay_and_may_thaw(clip):
    net = toy_net()
    wrapper = wrap(net, clip_grad=clip)
    net[0].requires_grad_(False)
    before = weights(net)
    frozen = train(net, wrapper, steps=2)
    net[0].requires_grad_(True)
    thawed = train(net, wrapper, steps=1)

    assert equal(frozen[:2], before[:2])
    assert difference(frozen[2:], before[2:]) > 1e-3
    assert difference(thawed[:2], before[:2]) > 1e-4


@pytest.mark.parametrize('constant', STREAMS)
def test_a_constant_loss_has_no_gradient(constant):
    def losses(net, x):
        return {**toy_streams(net, x), constant: torch.tensor(1.)}

    def without(net, x):
        return {k: v for k, v in toy_streams(net, x).items() if k != constant}

    net, other = toy_net(), toy_net()

    assert equal(train(net, wrap(net, merge=False), losses=losses),
                 train(other, wrap(other, merge=False), losses=without))


def test_only_constant_losses_change_nothing():
    net = toy_net()
    before = weights(net)
    wrapper = wrap(net, clip_grad=dict(max_norm=1.))
    train(net, wrapper, losses=lambda net, x: dict(task=torch.ones(())))

    assert equal(weights(net), before)
    assert not any(wrapper.optimizer.state.values())


@pytest.mark.parametrize('clip', [None, dict(max_norm=0.01)])
def test_no_gradient_stays_behind(clip):
    net = toy_net()
    wrapper = wrap(net, clip_grad=clip)
    train(net, wrapper, steps=2)

    assert all(p.grad is None for p in net.parameters())
    assert wrapper._held.streams == {}


def test_gradients_of_a_backward_of_ones_own_are_used():
    net, other = toy_net(), toy_net()
    wrapper = wrap(net)
    plain_loss(net, toy_batch()).backward()
    wrapper.step()
    wrapper.zero_grad()

    assert equal(weights(net), train(other, wrap(other), 1, plain_loss))


def test_a_scalar_and_streams_in_one_run_are_refused():
    net = toy_net()
    wrapper = wrap(net)
    train(net, wrapper, steps=1)
    with pytest.raises(RuntimeError, match='do not mix'):
        train(net, wrapper, steps=1, losses=plain_loss)


def test_reentrant_checkpointing_is_explained():
    net = toy_net()

    def losses(net, x):
        return dict(
            task=checkpoint(net[1:], net[0](x), use_reentrant=True).mean())

    with pytest.raises(RuntimeError, match='set with_cp=False'):
        train(net, wrap(net), losses=losses)


@pytest.mark.parametrize('merge', [True, False])
def test_the_graph_is_kept_only_when_asked(merge):
    net = toy_net()
    wrapper = wrap(net, merge=merge)
    losses = toy_streams(net, toy_batch())
    wrapper.backward(losses, retain_graph=True)
    wrapper.backward(losses)
    with pytest.raises(RuntimeError, match='graph a second time'):
        wrapper.backward(losses)


def test_other_errors_of_autograd_are_not_renamed():
    net = toy_net()
    with pytest.raises(RuntimeError, match='only for scalar outputs'):
        wrap(net).update_params(dict(task=net(toy_batch())))


def test_another_process_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.distributed, 'all_reduce', None)
    net = toy_net()
    before = weights(net)

    assert difference(train(net, wrap(net)), before) > 1e-3


def test_resuming_with_another_delta_is_logged():
    net = toy_net()
    saved, other = (
        DeepKDOptimWrapper(
            SGD(net.parameters(), lr=0.1, momentum=0.9), delta=delta)
        for delta in (0.05, 0.02))
    with mock.patch.object(wrapper_module, 'print_log') as log:
        other.load_state_dict(saved.state_dict())

    assert 'trained with momentum offsets' in log.call_args[0][0]


def test_an_update_without_losses_changes_nothing():
    net = toy_net()
    wrapper = wrap(net)
    train(net, wrapper, steps=2)
    before = weights(net)
    wrapper.update_params({})

    assert equal(before, weights(net))


@pytest.mark.parametrize('losses', [toy_streams, plain_loss])
def test_what_is_clipped_stays_clipped_until_zero_grad(losses):
    clip = dict(clip_grad=dict(max_norm=0.1))
    mine, other = toy_net(), toy_net()
    delta = 0. if losses is toy_streams else 0.05
    wrapper = wrap(mine, delta=delta, **clip)
    plain = OptimWrapper(sgd(other), **clip)
    for step in range(3):
        for net, owner, function in ((mine, wrapper, losses),
                                     (other, plain, plain_loss)):
            owner.backward(function(net, toy_batch(step)))
            owner.step()

    assert difference(weights(mine), weights(other)) <= 1e-12
