"""A loss or gradient that is not finite: stopped, or left out and counted."""
import copy
import itertools
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn
from torch.optim import SGD, AdamW

from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DeepKDOptimWrapper,
    FiniteLossHook,
    update_guard,
)
from mmdeepkd.engine.finite import ADVICE, bad_gradients, sentence
from tests.helpers.toys import (
    STREAMS,
    equal,
    spoil_gradient,
    toy_batch,
    toy_net,
    toy_streams,
    weights,
    with_streams,
)

INF, NAN = float('inf'), float('nan')
CLIPS = [None, dict(max_norm=0.01)]
_hubs = itertools.count()


@pytest.fixture(autouse=True)
def hub():
    """A message hub of one's own, as every run has."""
    return MessageHub.get_instance(f'numerics_{next(_hubs)}')


def wrap(net, adamw=False, kind=DeepKDOptimWrapper, **kwargs):
    optimizer = AdamW(net.parameters(), lr=0.01) if adamw else SGD(
        net.parameters(), lr=0.1, momentum=0.9)
    return kind(optimizer, delta=0.05, **kwargs)


def streams(net, step=0):
    return toy_streams(net, toy_batch(step, dtype=torch.float))


def update(net, wrapper, step, **factors):
    """One iteration; the losses of some streams times a factor."""
    losses = streams(net, step)
    for stream, factor in factors.items():
        losses[stream] = losses[stream] * factor
    wrapper.update_params(losses)


def everything(net, wrapper):
    """Every number that a step may move."""
    state = wrapper.optimizer.state_dict()['state']
    return copy.deepcopy([
        *net.state_dict().values(),
        *(torch.as_tensor(v) for i in sorted(state)
          for _, v in sorted(state[i].items()))
    ])


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('value', [INF, -INF, NAN])
@pytest.mark.parametrize('stream', STREAMS)
def test_a_loss_that_is_not_finite_stops_before_the_update(
        stream, value, clip):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, clip_grad=clip)
    update(net, wrapper, 0)
    before = everything(net, wrapper)
    with pytest.raises(FloatingPointError, match=(
            rf'^iteration 2: the loss {stream} \(stream {stream}\) is '
            '(-?inf|nan); .*clip_grad=dict.*--detect-anomaly.*set_detect_ano'
            r"maly.*nonfinite='skip'.*\.$")):
        update(net, wrapper, 1, **{stream: value})

    assert len(before) > 8
    assert equal(everything(net, wrapper), before)


def test_the_single_losses_of_a_stream_are_told_apart():
    net = toy_net(dtype=torch.float)
    losses = streams(net)
    total = with_streams({**losses, 'target': losses['target'] * NAN})
    total.parts = dict(
        task={'s0.loss_cls': losses['task'], 'loss_rpn': losses['task']},
        target={'target.loss_dkd': losses['target'],
                'target.loss_dkd_1': losses['target'] * NAN})
    with pytest.raises(FloatingPointError, match=(
            r'^iteration 1: the loss target.loss_dkd_1 \(stream target\) is '
            'nan; training')):
        wrap(net).update_params(total)


def stopped_by_the_wrapper(name, value):
    net = toy_net(dtype=torch.float)
    total = streams(net)['task'] * value
    stream = name.split('.')[0]
    total.streams, total.parts = {stream: total}, {stream: {name: total}}
    wrap(net).update_params(total)


def stopped_by_the_hook(name, value):
    model = toy_net(dtype=torch.float)
    model.stream_of = lambda name: name.split('.')[0]
    runner = SimpleNamespace(optim_wrapper=None, model=model, iter=0)
    FiniteLossHook().after_train_iter(
        runner, 0, None, {name: torch.tensor(value)})


@pytest.mark.parametrize('stop', [stopped_by_the_wrapper, stopped_by_the_hook])
@pytest.mark.parametrize('name, told', [
    ('feature.loss_diffkd', True),
    ('feature.loss_diffkd_autoencoder', True), ('target.loss_dkd', False),
    # The stream of KD, of which no adapter learns.
    ('distill.loss_kd', False)])
def test_a_feature_loss_names_the_rate_of_its_adapters(stop, name, told):
    with pytest.raises(FloatingPointError) as caught:
        stop(name, INF)
    text = str(caught.value)

    assert f'the loss {name} (stream ' in text
    assert text.endswith(
        "; the adapters of feature losses train at the student's learning "
        'rate, and optim_wrapper.paramwise_cfg=dict(custom_keys=dict('
        'distill=dict(lr_mult=0.1))) lowers theirs alone (norm_decay_mult '
        'and bias_decay_mult then leave them out).') == told
    assert ('paramwise_cfg' in text) == told


@pytest.mark.parametrize('names, told', [
    (['distill.diffkd.level0.weight'], True),
    (['neck.weight', 'distill.diffkd.level0.weight'], True),
    (['neck.weight'], False), (['neck.distill.weight'], False)])
def test_so_does_a_gradient_of_theirs(names, told):
    gradients = dict(task=[torch.tensor(INF)] * len(names))
    texts = bad_gradients(3, gradients, names)

    assert ', '.join(names) in texts[0]
    assert ('distill=dict(lr_mult' in sentence(texts, 'training stops',
                                               ADVICE)) == told


def test_a_plain_scalar_is_checked_too():
    net = toy_net(dtype=torch.float)
    with pytest.raises(FloatingPointError, match=(
            r'iteration 1: the loss total \(stream plain\) is inf')):
        wrap(net).update_params(streams(net)['task'] * INF)


def test_many_losses_are_summed_up():
    net = toy_net(dtype=torch.float)
    total = streams(net)['task'] * NAN
    total.streams = dict(task=total)
    total.parts = dict(task={f'loss_{i}': total for i in range(9)})
    with pytest.raises(FloatingPointError, match='is nan and 6 more; '):
        wrap(net).update_params(total)


@pytest.mark.parametrize('nonfinite', ['raise', 'skip'])
def test_a_loss_without_a_gradient_is_checked(nonfinite):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, nonfinite=nonfinite)
    before = weights(net)
    losses = {**streams(net), 'target': torch.tensor(NAN)}
    if nonfinite == 'raise':
        with pytest.raises(FloatingPointError, match='loss target .* is nan'):
            wrapper.update_params(losses)
    else:
        wrapper.update_params(losses)

        assert wrapper.skipped_steps == 1
    assert equal(weights(net), before)


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('value', [INF, NAN])
def test_a_gradient_names_its_stream_and_parameters(value, clip):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, clip_grad=clip)
    before = everything(net, wrapper)
    with wrapper.optim_context(net):
        out = net[0](toy_batch(dtype=torch.float))
        losses = streams(net)
        losses['target'] = spoil_gradient(out, value).mean()
    with pytest.raises(FloatingPointError, match=(
            '^iteration 1: every loss is finite, but not the gradient of '
            r'target in 2 of 4 parameters \(0.weight, 0.bias\); training')):
        wrapper.update_params(losses)

    assert equal(everything(net, wrapper), before)


def test_streams_of_one_momentum_are_named_together():
    net = toy_net(dtype=torch.float)
    losses = streams(net)
    losses['non_target'] = spoil_gradient(losses['non_target'], NAN)
    # The model is not known without optim_context.
    with pytest.raises(FloatingPointError, match=(
            r'gradient of task \+ non_target in 4 of 4 parameters \(no. 0 of '
            r'shape \(8, 6\), .* and 1 more\)')):
        wrap(net).update_params(losses)


@pytest.mark.parametrize('clip', CLIPS)
def test_a_gradient_beyond_any_norm_is_not_clipped_to_nothing(clip):
    net = toy_net(dtype=torch.float)
    losses = streams(net)
    losses['target'] = spoil_gradient(losses['target'], 1e30)
    with pytest.raises(FloatingPointError, match=(
            'the norm of the gradient is beyond the range of its dtype')):
        wrap(net, clip_grad=clip).update_params(losses)


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('adamw', [False, True])
@pytest.mark.parametrize('factors', [
    dict(task=NAN), dict(target=INF), dict(task=INF, target=-INF)], ids=str)
def test_a_skipped_step_never_was(factors, adamw, clip):
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    wrapper = wrap(net, adamw, nonfinite='skip', clip_grad=clip)
    reference = wrap(other, adamw, clip_grad=clip)
    for step in range(4):
        update(net, wrapper, step)
        update(other, reference, step)
        if step < 2:
            update(net, wrapper, step, **factors)

    assert wrapper.skipped_steps == 2
    assert equal(everything(net, wrapper), everything(other, reference))


def test_a_skipped_step_leaves_the_statistics_of_batch_norm():
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(6), *toy_net(dtype=torch.float))
    wrapper = wrap(net, nonfinite='skip', accumulative_counts=2)
    for factor in (1, 1, 1, NAN):
        if factor == 1 and not wrapper._held.streams:
            before = everything(net, wrapper)
        with wrapper.optim_context(net):
            losses = toy_streams(net, toy_batch(dtype=torch.float) * factor)
        wrapper.update_params(losses)

    assert wrapper.skipped_steps == 1
    assert int(net[0].num_batches_tracked) == 2
    assert equal(everything(net, wrapper), before)


@pytest.mark.parametrize('bad', [0, 1])
def test_an_accumulated_update_is_skipped_whole(bad):
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    wrapper = wrap(net, nonfinite='skip', accumulative_counts=2)
    reference = wrap(other, accumulative_counts=2)
    for step in range(4):
        update(net, wrapper, step, target=NAN if step == bad else 1)
        if step > 1:
            update(other, reference, step)

    assert wrapper.skipped_steps == 1
    assert equal(everything(net, wrapper), everything(other, reference))


@pytest.mark.parametrize('bad', [4, 5])
def test_the_iteration_is_the_one_of_the_loss(bad):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, accumulative_counts=2)
    # As the runner does on a resume.
    wrapper.initialize_count_status(net, 2, 100)
    with pytest.raises(FloatingPointError, match=f'^iteration {bad + 1}: '):
        for step in range(2, 6):
            update(net, wrapper, step, target=NAN if step == bad else 1)


def test_warnings_of_skipped_steps_are_thinned_out():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, nonfinite='skip')
    with mock.patch.object(update_guard, 'print_log') as log:
        for step in range(101):
            update(net, wrapper, step, task=NAN)

    texts = [call[0][0] for call in log.call_args_list]
    assert wrapper.skipped_steps == 101
    assert len(texts) == 11
    assert texts[1].startswith('iteration 2: the loss task (stream task) is '
                               'nan; the step is skipped, no. 2 of this run')
    assert texts[-1].startswith('iteration 100: ')


def test_the_count_is_logged_and_resumed(hub):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, nonfinite='skip')
    for step in range(3):
        update(net, wrapper, step, task=NAN)
    saved = hub.state_dict()
    # A wrapper takes the hub of its run.
    MessageHub.get_instance(f'numerics_{next(_hubs)}')
    resumed = wrap(net, nonfinite='skip')
    resumed.message_hub.load_state_dict(saved)
    update(net, resumed, 3, task=NAN)

    assert hub.get_scalar('train/skipped_steps').current() == 3
    assert resumed.skipped_steps == 4


def test_skipping_is_a_choice_between_two():
    with pytest.raises(ValueError, match=(
            r"nonfinite must be 'raise' \(.*\) or 'skip' \(.*\), got 'warn'")):
        wrap(toy_net(), nonfinite='warn')


@pytest.mark.parametrize('nonfinite', ['raise', 'skip'])
def test_bfloat16_is_not_scaled_and_checked_alike(nonfinite):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, kind=AmpDeepKDOptimWrapper, dtype='bfloat16',
                   nonfinite=nonfinite)
    before = everything(net, wrapper)
    if nonfinite == 'raise':
        with pytest.raises(FloatingPointError, match='iteration 1: the loss'):
            update(net, wrapper, 0, target=INF)
    else:
        update(net, wrapper, 0, target=INF)

    assert equal(everything(net, wrapper), before)


READING = ('item', 'tolist', '__bool__', '__float__', '__int__')


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('nonfinite', ['raise', 'skip'])
def test_an_update_reads_from_the_device_once(monkeypatch, clip, nonfinite):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, clip_grad=clip, nonfinite=nonfinite,
                   accumulative_counts=2)
    calls = []
    update(net, wrapper, 0)
    update(net, wrapper, 1)
    for name in READING:
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *args, name=name, read=read:
            (calls.append(name), read(*args))[1])
    update(net, wrapper, 2)
    update(net, wrapper, 3)
    monkeypatch.undo()

    assert calls == ['tolist']
