"""What one step of DecoupledSGD computes."""
import copy
import itertools
import random

import pytest
import torch
from torch.optim import SGD

from mmdeepkd.engine import DecoupledSGD
from tests.helpers.toys import (
    DELTAS,
    STREAMS,
    difference,
    equal,
    stream_lists,
    summed,
)

SHAPES = [(3, 4), (4, ), (2, 3), (2, ), ()]
HYPER = [
    dict(weight_decay=wd, dampening=damp, momentum=mu)
    for wd, damp, mu in itertools.product((0., 0.1), (0., 0.3), (0.9, 0.))
]
MOVING = [hyper for hyper in HYPER if hyper['momentum']]


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in SHAPES
    ]


def two_groups(params, **first):
    return [dict(params=params[:2], **first),
            dict(params=params[2:], lr=0.02, weight_decay=0.03)]


def sgd_twin(hyper, dtype=torch.float32):
    params = parameters(dtype)
    return params, SGD(two_groups(params), lr=0.1, **hyper)


def step_twin(params, optimizer, grads):
    for param, grad in zip(params, grads):
        param.grad = grad
    optimizer.step()


@pytest.mark.parametrize('hyper', HYPER, ids=str)
@pytest.mark.parametrize('missing', [0., 0.4])
def test_offsets_of_zero_are_sgd_on_the_sum_bit_for_bit(hyper, missing):
    params = parameters(torch.float32)
    optimizer = DecoupledSGD(two_groups(params), lr=0.1, **hyper)
    others, sgd = sgd_twin(hyper)
    for step in range(20):
        grads = stream_lists(params, step, missing=missing)
        optimizer.step(grads)
        step_twin(others, sgd, summed(grads))

    assert equal(params, others)


@pytest.mark.parametrize('hyper', MOVING, ids=str)
def test_one_stream_is_sgd_with_the_momentum_of_that_stream(hyper):
    params = parameters(torch.float32)
    optimizer = DecoupledSGD(
        two_groups(params), lr=0.1, offsets=dict(task=0.05), **hyper)
    others, sgd = sgd_twin({**hyper, 'momentum': hyper['momentum'] + 0.05})
    for step in range(20):
        grads = stream_lists(params, step, ['task'], missing=0.3)
        optimizer.step(grads)
        step_twin(others, sgd, grads['task'])

    assert equal(params, others)


@pytest.mark.parametrize('hyper', MOVING, ids=str)
@pytest.mark.parametrize('by_argument', [True, False])
def test_the_plain_stream_is_sgd_whatever_the_offsets(hyper, by_argument):
    params = parameters(torch.float32)
    optimizer = DecoupledSGD(
        two_groups(params), lr=0.1, offsets=DELTAS, **hyper)
    others, sgd = sgd_twin(hyper)
    for step in range(20):
        grads = stream_lists(params, step, ['plain'], missing=0.3)['plain']
        if by_argument:
            optimizer.step(dict(plain=grads))
        else:
            step_twin(params, optimizer, grads)
        step_twin(others, sgd, grads)

    assert equal(params, others)


@pytest.mark.parametrize('dampening', [0.3, 'ema'])
@pytest.mark.parametrize('missing', [0., 0.4])
@pytest.mark.parametrize('presummed', [False, True])
def test_merged_streams_equal_unmerged_ones(dampening, missing, presummed):
    results = []
    for merge in (True, False):
        params = parameters()
        optimizer = DecoupledSGD(
            two_groups(params), 0.1, offsets=DELTAS, weight_decay=0.1,
            dampening=dampening, merge=merge)
        for step in range(20):
            grads = stream_lists(params, step, missing=missing)
            if presummed and merge:
                grads = dict(
                    task=summed({s: grads[s] for s in ('task', 'non_target')}),
                    target=grads['target'])
            optimizer.step(grads)
        results.append(params)

    assert difference(*results) <= 1e-12


def reference_step(params, buffers, grads, group):
    """The table of the design, one parameter after the other, in place."""
    for i, param in enumerate(params):
        if all(values[i] is None for values in grads.values()):
            continue
        # The first step of a parameter creates all its buffers.
        first = i not in buffers
        held = buffers.setdefault(i, {})
        move = 0.
        for stream, offset in group['offsets'].items():
            momentum = group['momentum'] + offset
            values = grads.get(stream)
            missing = values is None or values[i] is None
            grad = 0. * param if missing else values[i]
            if stream == 'task':
                grad = grad + group['weight_decay'] * param
            factor = 1 - momentum
            if group['dampening'] != 'ema':
                factor = 1. if first else 1 - group['dampening']
            held[stream] = momentum * held.get(stream, 0.) + factor * grad
            move = move + held[stream]
        param -= group['lr'] * move


@pytest.mark.parametrize('dampening', [0., 0.3, 'ema'])
@pytest.mark.parametrize('weight_decay', [0., 0.1])
@pytest.mark.parametrize('merge', [True, False])
def test_missing_gradients_and_streams_follow_a_slow_loop(
        dampening, weight_decay, merge):
    params, slow = parameters(), parameters()
    optimizer = DecoupledSGD(
        [dict(params=params[:2]),
         dict(params=params[2:], lr=0.03, momentum=0.8)],
        0.1, offsets=DELTAS, weight_decay=weight_decay, dampening=dampening,
        merge=merge)
    hyper = dict(dampening=dampening, weight_decay=weight_decay,
                 offsets=DELTAS)
    buffers = ({}, {})
    chance = random.Random(3)
    for step in range(20):
        grads = stream_lists(params, step, missing=0.4)
        for stream in STREAMS[1:]:
            if chance.random() < 0.3:
                del grads[stream]
        optimizer.step(grads)
        first = {s: g[:2] for s, g in grads.items()}
        second = {s: g[2:] for s, g in grads.items()}
        reference_step(slow[:2], buffers[0], first,
                       dict(lr=0.1, momentum=0.9, **hyper))
        reference_step(slow[2:], buffers[1], second,
                       dict(lr=0.03, momentum=0.8, **hyper))

        assert difference(params, slow) <= 1e-12


def test_a_parameter_without_any_gradient_is_left_alone():
    params = parameters()
    before = [p.clone() for p in params]
    optimizer = DecoupledSGD(params, 0.1, weight_decay=0.5)
    optimizer.step(dict(task=[torch.ones_like(params[0])] + [None] * 4))

    assert not torch.equal(params[0], before[0])
    assert equal(params[1:], before[1:])
    assert not any(optimizer.state.get(p) for p in params[1:])


@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('dampening', [0., 0.3])
def test_gradients_are_neither_modified_nor_kept(semantics, dampening):
    params = parameters()
    optimizer = DecoupledSGD(
        params, 0.1, offsets=DELTAS, weight_decay=0.1, dampening=dampening,
        semantics=semantics)
    for step in range(3):
        grads = stream_lists(params, step)
        before = copy.deepcopy(grads)
        optimizer.step(grads)
        held = {
            buffer.data_ptr()
            for state in optimizer.state.values() for buffer in state.values()
        }
        given = {g.data_ptr() for values in grads.values() for g in values}

        assert all(equal(grads[s], before[s]) for s in grads)
        assert not held & given


@pytest.mark.parametrize('offsets, merge, keys', [
    (DELTAS, True, {'task', 'target'}),
    (DELTAS, False, {'task', 'target', 'non_target'}),
    (None, True, {'task'}),
    (dict(task=-0.1, distill=0.1), True, {'task', 'distill'}),
    (dict(task=0.05, target=0.05 + 1e-13), True, {'task'}),
])
def test_the_state_holds_one_buffer_per_distinct_momentum(
        offsets, merge, keys):
    params = parameters()
    optimizer = DecoupledSGD(params, 0.1, 0.8, offsets=offsets, merge=merge)
    optimizer.step(stream_lists(params, 0, offsets or STREAMS))

    expected = {f'{key}_momentum_buffer' for key in keys}
    assert all(set(optimizer.state[p]) == expected for p in params)


@pytest.mark.parametrize('streams', [
    ('task', 'target'), ('target', 'task'), ('target', )
])
@pytest.mark.parametrize('first', ['task', 'target'])
@pytest.mark.parametrize('offset', [0., 0.05])
def test_weight_decay_does_not_depend_on_the_order_of_streams(
        streams, first, offset):
    second = dict(task='target', target='task')[first]
    hyper = dict(lr=0.1, weight_decay=0.1)
    offsets = dict(task=offset, target=0.)
    params, others = parameters(), parameters()
    optimizer = DecoupledSGD(
        params, offsets={s: offsets[s] for s in (first, second)}, **hyper)
    usual = DecoupledSGD(others, offsets=offsets, **hyper)
    for step in range(3):
        grads = stream_lists(params, step, ('task', 'target'))
        optimizer.step({s: grads[s] for s in streams})
        usual.step({s: grads[s] for s in sorted(streams)[::-1]})

    assert optimizer.leaders()['task'] == 'task'
    assert difference(params, others) <= 1e-12
    assert difference(params, parameters()) > 0.01


def test_the_plain_stream_has_its_own_buffer():
    params = parameters()
    optimizer = DecoupledSGD(params, 0.1)
    optimizer.step(stream_lists(params, 0, ['plain']))

    assert set(optimizer.state[params[0]]) == {'plain_momentum_buffer'}


def test_momentum_zero_keeps_no_buffer():
    params = parameters()
    optimizer = DecoupledSGD(params, 0.1, momentum=0.)
    optimizer.step(stream_lists(params, 0))

    assert not any(optimizer.state.values())


class ForeachCounter(torch.overrides.TorchFunctionMode):
    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += 'foreach' in getattr(func, '__name__', '')
        return func(*args, **(kwargs or {}))


def foreach_calls(groups):
    params = [p for group in groups for p in group['params']]
    optimizer = DecoupledSGD(
        groups, 0.1, offsets=DELTAS, weight_decay=0.1)
    with ForeachCounter() as counter:
        optimizer.step(stream_lists(params, 0))
    return counter.count


def test_groups_of_equal_settings_share_their_foreach_calls():
    one = foreach_calls([dict(params=parameters())])
    many = foreach_calls([dict(params=[p]) for p in parameters()])
    different = foreach_calls([
        dict(params=[p], lr=0.1 * (i + 1))
        for i, p in enumerate(parameters())
    ])

    assert 0 < one == many < different
