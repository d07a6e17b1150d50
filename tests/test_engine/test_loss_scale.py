"""What a float16 run shows of its loss scale, and of steps that it loses."""
import itertools
import json

import pytest
import torch
from mmengine.logging import MessageHub
from torch.optim import SGD

from mmdeepkd.engine import AmpDeepKDOptimWrapper, DeepKDOptimWrapper
from tests.helpers.float16 import or_refused
from tests.helpers.toys import (
    difference,
    equal,
    spoil_gradient,
    toy_batch,
    toy_net,
    toy_streams,
    weights,
)

from .test_numerics import READING
from .test_numerics_runs import run
from .toy_distiller import ToyDistiller

INF, NAN = float('inf'), float('nan')
CLIPS = [None, dict(max_norm=0.01)]
_hubs = itertools.count()


@pytest.fixture(autouse=True)
def hub():
    """A message hub of one's own, as every run has."""
    return MessageHub.get_instance(f'loss_scale_{next(_hubs)}')


def wrap(net, kind=AmpDeepKDOptimWrapper, **kwargs):
    if kind is AmpDeepKDOptimWrapper:
        kwargs['dtype'] = 'float16'
    return kind(
        SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05, **kwargs)


def update(net, wrapper, step, **spoilt):
    """One iteration; the gradients of some streams times a factor."""
    losses = toy_streams(net, toy_batch(step, dtype=torch.float))
    with wrapper.optim_context(net):
        for stream, factor in spoilt.items():
            losses[stream] = spoil_gradient(losses[stream], factor)
    wrapper.update_params(losses)


def scalars(hub, name):
    return list(hub.get_scalar(f'train/{name}').data[0])


@or_refused
@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('value', [INF, NAN])
def test_a_static_scale_hides_no_gradient(value, clip):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, loss_scale=128., clip_grad=clip)
    update(net, wrapper, 0)
    before = weights(net)
    with pytest.raises(FloatingPointError, match=(
            '^iteration 2: every loss is finite, but not the gradient of '
            r'target in 4 of 4 parameters \(0.weight, .*\); training stops '
            'before the update: a static loss scale stays where float16 '
            r"overflows, so set optim_wrapper.loss_scale='dynamic', lower .*"
            r"nonfinite='skip'")):
        update(net, wrapper, 1, target=value)

    assert equal(weights(net), before)


@or_refused
@pytest.mark.parametrize('clip', CLIPS)
def test_a_step_that_a_static_scale_skips_is_counted(clip, hub):
    net, other = toy_net(dtype=torch.float), toy_net(dtype=torch.float)
    wrapper = wrap(net, loss_scale=128., nonfinite='skip', clip_grad=clip)
    reference = wrap(other, DeepKDOptimWrapper, clip_grad=clip)
    for step in range(3):
        update(net, wrapper, step)
        update(net, wrapper, step, target=NAN)
        update(other, reference, step)

    assert wrapper.skipped_steps == 3
    assert 'train/overflowed_steps' not in hub.log_scalars
    assert difference(weights(net), weights(toy_net(dtype=torch.float))) > 1e-3
    assert equal(weights(net), weights(other))


@or_refused
def test_every_third_gradient_that_is_nan_is_counted(hub):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net)
    for step in range(9):
        update(net, wrapper, step, task=NAN if step % 3 == 2 else 1.)

    assert scalars(hub, 'overflowed_steps') == [1, 2, 3]
    assert scalars(hub, 'loss_scale') == (
        [2.**16] * 3 + [2.**15] * 3 + [2.**14] * 3)
    assert wrapper.skipped_steps == 0


@or_refused
def test_the_count_is_resumed(hub):
    net = toy_net(dtype=torch.float)
    update(net, wrap(net), 0, task=INF)
    saved = hub.state_dict()
    MessageHub.get_instance(f'loss_scale_{next(_hubs)}')
    resumed = wrap(net)
    resumed.message_hub.load_state_dict(saved)
    update(net, resumed, 1, task=INF)

    assert scalars(resumed.message_hub, 'overflowed_steps') == [1, 2]


@or_refused
def test_the_norm_of_an_overflow_is_not_logged(hub):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, clip_grad=CLIPS[1])
    for step in range(3):
        update(net, wrapper, step, task=INF if step == 1 else 1.)

    norms = torch.tensor(scalars(hub, 'grad_norm'))
    assert len(norms) == 2 and norms.isfinite().all()


@or_refused
def test_a_scale_grows_after_a_loss_that_was_skipped():
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, loss_scale=dict(init_scale=8., growth_interval=3),
                   nonfinite='skip')
    scales = []
    for step in range(4):
        losses = toy_streams(net, toy_batch(step, dtype=torch.float))
        factor = NAN if step == 1 else 1.
        wrapper.update_params({**losses, 'task': losses['task'] * factor})
        scales.append(wrapper.loss_scaler.get_scale())

    assert scales == [8., 8., 8., 16.]


class Overflowing(ToyDistiller):
    """The gradient of each third iteration is NaN."""

    seen = 0

    def forward(self, *args, **kwargs):
        losses = super().forward(*args, **kwargs)['loss']
        self.seen += 1
        if self.seen % 3 == 0:
            losses['task'] = spoil_gradient(losses['task'], NAN)
        return dict(loss=losses)


@or_refused
def test_overflows_of_a_run_are_in_its_log(tmp_path):
    run(tmp_path, Overflowing(), 'mmdeepkd.AmpDeepKDOptimWrapper',
        dtype='float16', delta=0.05, loss_scale=dict(init_scale=64.))
    path, = tmp_path.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    assert [row.get('overflowed_steps') for row in rows] == (
        [None] * 2 + [1] * 3 + [2] * 3 + [3])
    # MMEngine averages what has 'loss' in its name.
    assert [row['loss_scale'] for row in rows[2:4]] == [64., 56.]


@or_refused
@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('loss_scale', ['dynamic', 128.])
def test_an_update_reads_from_the_device_once(monkeypatch, clip, loss_scale):
    net = toy_net(dtype=torch.float)
    wrapper = wrap(net, clip_grad=clip, loss_scale=loss_scale,
                   accumulative_counts=2)
    calls = []
    for name in READING:
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *args, name=name, read=read:
            (calls.append(name), read(*args))[1])
    for step in range(4):
        update(net, wrapper, step)
    monkeypatch.undo()

    assert calls == ['tolist'] * 2
