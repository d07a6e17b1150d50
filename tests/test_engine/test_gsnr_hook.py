"""What GSNRHook reports, and which runs it refuses."""
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import DecoupledSGD, DeepKDOptimWrapper, GSNRHook
from mmdeepkd.engine.agreement import Agreement
from mmdeepkd.engine.observation import Observation
from mmdeepkd.engine.stream_burst import StreamBurst
from mmdeepkd.losses import MLKDLoss
from tests.helpers.toys import STREAMS, toy_net

from .stream_runs import SmallDistiller

CPU = torch.device('cpu')


def burst(size=2):
    """A burst over one parameter of shape (1, size), and its model."""
    net = nn.Linear(size, 1, bias=False)
    wrapper = DeepKDOptimWrapper(SGD(net.parameters(), 0.1), delta=0.)
    return StreamBurst(wrapper.optimizer), net


def observation(stream_grads, **losses):
    return Observation(
        {stream: [None if grad is None else torch.tensor([grad])]
         for stream, grad in stream_grads.items()},
        {stream: torch.tensor(value) for stream, value in losses.items()})


def test_norms_ratios_cosines_and_losses():
    gathered, net = burst()
    for scale in (1., 2., 3., 6.):
        gathered.add(observation(
            dict(task=[0., 2 * scale], target=[scale, scale]),
            task=scale, target=5.))
    report = gathered.report({}, Agreement(net))
    gsnr = {name: report.pop(name) for name in list(report)
            if name.startswith('gsnr')}

    assert gathered.streams == ['task', 'target']
    assert list(gsnr) == ['gsnr/task', 'gsnr/target']
    assert report == pytest.approx({
        'grad_norm/task': 6., 'grad_norm/target': 3 * math.sqrt(2),
        'grad_ratio/target': math.sqrt(0.5),
        'grad_cosine/task-target': math.sqrt(0.5),
        'stream_loss/task': 3., 'stream_loss/target': 5.})


def test_a_stream_may_be_missing_in_some_updates():
    gathered, net = burst()
    task = [[1., 2.], [3., 2.5], [2., 1.], [4., 0.]]
    for k, grad in enumerate(task):
        given = dict(task=grad)
        losses = dict(task=1.)
        if k in (1, 2):
            given['target'] = [5., 5. + k]
            losses['target'] = 10. + k
        gathered.add(observation(given, **losses))
    report = gathered.report({}, Agreement(net))
    whole, _ = burst()
    for k, grad in enumerate(task):
        whole.add(observation(dict(
            task=grad, target=[5., 5. + k] if k in (1, 2) else [0., 0.])))

    # Its gradient is 0 there; a loss it has none.
    other = whole.report({}, Agreement(net))
    for name in ('gsnr/target', 'grad_norm/target', 'grad_ratio/target',
                 'grad_cosine/task-target'):
        assert report[name] == pytest.approx(other[name])
    assert report['stream_loss/target'] == 11.5


def test_a_gradient_of_none_has_no_direction():
    gathered, net = burst()
    for k in range(4):
        gathered.add(observation(
            dict(task=[1., 1. + k], target=None), task=1., target=0.))
    report = gathered.report({}, Agreement(net))

    assert report['grad_norm/target'] == report['grad_ratio/target'] == 0
    assert 'grad_cosine/task-target' not in report
    assert 'gsnr/target' not in report


def test_without_a_task_there_is_no_ratio():
    gathered, net = burst()
    for k in range(4):
        gathered.add(observation(dict(target=[1., k])))
    report = gathered.report({}, Agreement(net))

    assert not any(name.startswith('grad_ratio') for name in report)
    assert report['grad_norm/target'] > 0


@pytest.mark.parametrize('value', [math.inf, math.nan, 1e30])
def test_an_update_of_which_a_stream_overflows_is_left_out(value):
    numbers = []
    for spoilt in (False, True):
        gathered, net = burst()
        for k in range(4):
            if spoilt and k == 2:
                gathered.add(observation(
                    dict(task=[1., 1.], target=[value, 1.]), task=9.,
                    target=9.))
            gathered.add(observation(
                dict(task=[1., k], target=[k, 2.]), task=1., target=2.))
        assert gathered.samples == 4
        numbers.append(gathered.report({'all': [0]}, Agreement(net)))

    assert numbers[0] == numbers[1]


def test_parts_have_a_ratio_each():
    net = nn.Sequential(nn.Linear(2, 1, bias=False),
                        nn.Linear(1, 1, bias=False))
    wrapper = DeepKDOptimWrapper(SGD(net.parameters(), 0.1), delta=0.)
    gathered = StreamBurst(wrapper.optimizer)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        gathered.add(Observation(
            dict(task=[torch.randn(1, 2, generator=generator),
                       torch.randn(1, 1, generator=generator) + 5]), {}))
    report = gathered.report(dict(first=[0], last=[1]), Agreement(net))

    assert report['gsnr/task'] == pytest.approx(
        (2 * report['gsnr/task/first'] + report['gsnr/task/last']) / 3)
    assert report['gsnr/task/last'] > 5 > report['gsnr/task/first']


def called(model, *batches):
    """The counts after the first loss was called with these logits."""
    agreement = Agreement(model)
    for student, teacher in batches:
        rows = len(student[0] if isinstance(student, tuple) else student)
        model.losses[0](student, teacher,
                        torch.zeros(rows, dtype=torch.long))
    agreement.close()
    counts = agreement.counts(CPU).tolist()
    # Closed: it counts no more.
    if batches:
        model.losses[0](student, teacher,
                        torch.zeros(rows, dtype=torch.long))
    assert agreement.counts(CPU).tolist() == counts
    assert not model.losses[0]._forward_hooks
    return counts


def logits(*classes):
    return nn.functional.one_hot(torch.tensor(classes, dtype=torch.long),
                                 5).float()


def test_the_agreement_is_that_of_the_largest_logits():
    assert called(SmallDistiller(),
                  (logits(0, 1, 2), logits(0, 1, 3)),
                  (logits(4), logits(0)),
                  (logits(), logits())) == [2, 4]


def test_of_two_views_the_first_counts():
    weak, strong = logits(0, 1, 2), logits(3, 3, 3)
    model = SmallDistiller(losses=[MLKDLoss()])

    assert called(model, ((weak, strong), (weak, strong + 1)),
                  ((weak, strong), (strong, weak))) == [3, 6]


@pytest.mark.parametrize('model', [
    nn.Linear(1, 1), SmallDistiller(losses=[nn.Identity()]),
    SimpleNamespace(losses=len)], ids=['plain', 'no logits', 'other losses'])
def test_models_without_logits_have_no_agreement(model):
    agreement = Agreement(model)
    agreement.close()

    assert agreement.counts(CPU).tolist() == [0, 0]


def test_a_loss_may_be_called_by_name():
    model = SmallDistiller()
    agreement = Agreement(model)
    model.losses[0](target=torch.tensor([0, 1]),
                    logits_teacher=logits(0, 3), logits_student=logits(0, 1))
    model.losses[0](logits(2), logits_teacher=logits(2),
                    target=torch.tensor([0]))

    assert agreement.counts(CPU).tolist() == [2, 3]


def test_rows_of_weight_zero_do_not_count():
    model = SmallDistiller()
    agreement = Agreement(model)
    target, weight = torch.tensor([0, 1, 2]), torch.tensor([1., 0., 0.5])
    model.losses[0](logits(0, 1, 2), logits(0, 1, 3), target, weight)

    assert agreement.counts(CPU).tolist() == [1, 2]


def runner_of(wrapper, model=None):
    return SimpleNamespace(optim_wrapper=wrapper, model=model or toy_net(),
                           hooks=[])


def wrapper_of(net, **kwargs):
    return DeepKDOptimWrapper(SGD(net.parameters(), lr=0.1), delta=0.,
                              **kwargs)


@pytest.mark.parametrize('build', [
    lambda net: OptimWrapper(SGD(net.parameters(), lr=0.1)),
    lambda net: OptimWrapperDict(a=wrapper_of(net)),
], ids=['OptimWrapper', 'OptimWrapperDict'])
def test_a_wrapper_without_streams_is_refused(request, build):
    name = request.node.callspec.id
    net = toy_net()
    with pytest.raises(TypeError, match=(
            '^GSNRHook measures .*DeepKDOptimWrapper, the config has '
            f'{name}: set optim_wrapper.type')):
        GSNRHook().before_train(runner_of(build(net), net))


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(samples=3), ValueError, 'has samples=3 but needs at least 4'),
    (dict(interval=7), ValueError,
     'has interval=7, in which 8 updates of 1 iteration.* >= 8'),
    (dict(interval=0), ValueError, 'has interval=0'),
    (dict(interval=2.5), TypeError, 'needs an int for interval, got 2.5'),
    (dict(samples=True), TypeError, 'needs an int for samples, got True'),
])
def test_settings_out_of_range_are_named(kwargs, error, message):
    with pytest.raises(error, match=f'^GSNRHook {message}'):
        GSNRHook(**kwargs)


@pytest.mark.parametrize('interval', [20, 21, 25])
def test_accumulated_updates_need_a_longer_interval(interval):
    net = toy_net()
    with pytest.raises(ValueError, match=(
            f'interval={interval}, in which 8 updates of 3 iteration.* no '
            'room: set interval to a multiple of 3 from 24 on, or to 26 or ')):
        GSNRHook(interval=interval).before_train(
            runner_of(wrapper_of(net, accumulative_counts=3), net))


@pytest.mark.parametrize('interval', [24, 26, 27, 28])
def test_intervals_in_which_every_window_ends(interval):
    net = toy_net()
    GSNRHook(interval=interval).before_train(
        runner_of(wrapper_of(net, accumulative_counts=3), net))


def test_an_unknown_part_is_refused():
    net = toy_net()
    with pytest.raises(ValueError, match=r"parts\['neck'\] has the prefix"):
        GSNRHook(parts=dict(neck='neck')).before_train(
            runner_of(wrapper_of(net), net))


@pytest.mark.parametrize('parts, error, message', [
    (['neck'], TypeError, r"has parts=\['neck'\] but needs a dict"),
    ('neck', TypeError, "has parts='neck' but needs a dict"),
    (dict(a=5), TypeError, r"has parts\['a'\]=5 but needs a prefix"),
    (dict(a=['b', 5]), TypeError, r"has parts\['a'\]=\['b', 5\] but needs"),
    ({}, ValueError, 'has parts without a part: name one'),
    (dict(a=[]), ValueError, r"has parts\['a'\]=\[\]: give it a prefix"),
], ids=['list', 'text', 'number', 'numbers', 'empty', 'no prefix'])
def test_parts_of_another_form_are_refused(parts, error, message):
    with pytest.raises(error, match=f'^GSNRHook {message}'):
        GSNRHook(parts=parts)


@pytest.mark.parametrize('offsets, momenta', [
    (dict(task=0.05, target=-0.05, non_target=0.05), [0.85, 0.85, 0.95]),
    (dict(task=-0.05, distill=0.05), [0.85, 0.95]),
    # Without a momentum of its own a stream has no buffer.
    (dict(task=-0.9, target=0.05, non_target=0.05), [0., 0.95, 0.95]),
], ids=['DeepKD', 'DOT', 'no buffer'])
def test_the_momentum_of_a_released_optimizer_is_that_it_trains_with(
        offsets, momenta):
    param = nn.Parameter(torch.zeros(1))
    optimizer = DecoupledSGD([param], lr=0.1, momentum=0.9, offsets=offsets,
                             semantics='released')
    group, = optimizer.param_groups

    assert [optimizer.momentum_of(stream, group)
            for stream in offsets] == pytest.approx(momenta)
    assert optimizer.momentum_of('plain', group) == 0.9
    for gradient in (1., 0.):
        optimizer.step({s: [torch.tensor([gradient])] for s in offsets})
    # What is left of 1.
    assert [float(optimizer.state[param].get(
        f'{stream}_momentum_buffer', 0.)) for stream in offsets] == (
            pytest.approx(momenta))


def test_the_momentum_of_the_paper_is_base_and_offset():
    optimizer = wrapper_of(toy_net()).optimizer
    group = optimizer.param_groups[0]
    group['momentum'] = 0.9
    group['offsets'].update(task=0.05, target=-0.05)

    assert [optimizer.momentum_of(stream, group) for stream in STREAMS] == (
        pytest.approx([0.95, 0.85, 0.9]))


def test_the_summary_says_what_is_measured_when():
    net = toy_net()
    hook = GSNRHook(interval=50)
    hook.before_train(runner_of(wrapper_of(net), net))

    assert hook.summary_row(runner_of(None)) == (
        'GSNR over 8 updates every 50 iterations, in 2 parts')


def test_the_hook_is_built_by_name():
    hook = HOOKS.build(dict(type='mmdeepkd.GSNRHook', interval=100))

    assert (hook.window, hook.parts) == ((100, 8), None)
