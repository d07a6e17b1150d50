"""What one step of DecoupledAdamW computes."""
import copy
import itertools
import random

import pytest
import torch
from torch.optim import AdamW

from mmdeepkd.engine import DecoupledAdamW, DecoupledSGD
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
    dict(weight_decay=wd, betas=betas, eps=eps)
    for wd, (betas, eps) in itertools.product(
        (0., 0.1), (((0.9, 0.999), 1e-8), ((0.5, 0.7), 1e-3)))
]


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in SHAPES
    ]


def two_groups(params):
    return [dict(params=params[:2]),
            dict(params=params[2:], lr=0.02, weight_decay=0.03, eps=1e-6)]


def twin(hyper, dtype):
    params = parameters(dtype)
    return params, AdamW(two_groups(params), lr=0.1, **hyper)


def step_twin(params, optimizer, grads):
    for param, grad in zip(params, grads):
        param.grad = grad
    optimizer.step()


@pytest.mark.parametrize('hyper', HYPER, ids=str)
@pytest.mark.parametrize('missing', [0., 0.4])
@pytest.mark.parametrize('merge', [True, False])
def test_equal_betas_are_adamw_on_the_sum(hyper, missing, merge):
    params = parameters()
    optimizer = DecoupledAdamW(
        two_groups(params), lr=0.1, merge=merge, **hyper)
    others, adamw = twin(hyper, torch.float64)
    for step in range(50):
        grads = stream_lists(params, step, missing=missing)
        optimizer.step(grads)
        step_twin(others, adamw, summed(grads))

        assert difference(params, others) <= 1e-10


@pytest.mark.parametrize('hyper', HYPER, ids=str)
def test_streams_that_split_one_gradient_are_adamw(hyper):
    params = parameters()
    optimizer = DecoupledAdamW(two_groups(params), lr=0.1, merge=False,
                               **hyper)
    others, adamw = twin(hyper, torch.float64)
    shares = dict(task=1.7, target=-1., non_target=0.3)
    for step in range(50):
        whole = stream_lists(params, step, ['plain'])['plain']
        optimizer.step(
            {s: [share * g for g in whole] for s, share in shares.items()})
        step_twin(others, adamw, whole)

    assert difference(params, others) <= 1e-10


@pytest.mark.parametrize('hyper', HYPER, ids=str)
def test_one_stream_is_adamw_with_the_momentum_of_that_stream(hyper):
    params = parameters(torch.float32)
    optimizer = DecoupledAdamW(
        two_groups(params), lr=0.1, offsets=dict(task=0.05), **hyper)
    first, second = hyper['betas']
    others, adamw = twin({**hyper, 'betas': (first + 0.05, second)},
                         torch.float32)
    for step in range(20):
        grads = stream_lists(params, step, ['task'], missing=0.3)
        optimizer.step(grads)
        step_twin(others, adamw, grads['task'])

    assert equal(params, others)


@pytest.mark.parametrize('hyper', HYPER, ids=str)
@pytest.mark.parametrize('by_argument', [True, False])
def test_the_plain_stream_is_adamw_whatever_the_offsets(hyper, by_argument):
    params = parameters(torch.float32)
    optimizer = DecoupledAdamW(
        two_groups(params), lr=0.1, offsets=DELTAS, **hyper)
    others, adamw = twin(hyper, torch.float32)
    for step in range(20):
        grads = stream_lists(params, step, ['plain'], missing=0.3)['plain']
        if by_argument:
            optimizer.step(dict(plain=grads))
        else:
            step_twin(params, optimizer, grads)
        step_twin(others, adamw, grads)

    assert equal(params, others)


@pytest.mark.parametrize('missing', [0., 0.4])
@pytest.mark.parametrize('presummed', [False, True])
def test_merged_streams_equal_unmerged_ones(missing, presummed):
    results = []
    for merge in (True, False):
        params = parameters()
        optimizer = DecoupledAdamW(
            two_groups(params), 0.1, offsets=DELTAS, merge=merge)
        for step in range(20):
            grads = stream_lists(params, step, missing=missing)
            if presummed and merge:
                grads = dict(
                    task=summed({s: grads[s] for s in ('task', 'non_target')}),
                    target=grads['target'])
            optimizer.step(grads)
        results.append(params)

    assert difference(*results) <= 1e-12


def reference_step(params, moments, grads, group):
    """The equations, one parameter after the other, in place."""
    first, second = group['betas']
    for i, param in enumerate(params):
        present = {s: values[i] for s, values in grads.items()
                   if values[i] is not None}
        if not present:
            continue
        held = moments.setdefault(i, dict(steps=0, square=0.))
        held['steps'] += 1
        total = sum(present.values())
        held['square'] = second * held['square'] + (1 - second) * total**2
        root = (held['square'] / (1 - second**held['steps'])).sqrt()
        move = 0.
        for stream, offset in group['offsets'].items():
            beta = first + offset
            held[stream] = beta * held.get(stream, 0.) + (
                1 - beta) * present.get(stream, 0.)
            move = move + held[stream] / (1 - beta**held['steps'])
        param -= group['lr'] * (
            group['weight_decay'] * param + move / (root + group['eps']))


@pytest.mark.parametrize('weight_decay', [0., 0.1])
@pytest.mark.parametrize('merge', [True, False])
def test_missing_gradients_and_streams_follow_a_slow_loop(
        weight_decay, merge):
    params, slow = parameters(), parameters()
    optimizer = DecoupledAdamW(
        [dict(params=params[:2]),
         dict(params=params[2:], lr=0.03, betas=(0.8, 0.99), eps=1e-5)],
        0.1, offsets=DELTAS, weight_decay=weight_decay, merge=merge)
    hyper = dict(weight_decay=weight_decay, offsets=DELTAS)
    moments = ({}, {})
    chance = random.Random(3)
    for step in range(30):
        grads = stream_lists(params, step, missing=0.4)
        for stream in STREAMS:
            if chance.random() < 0.3 and len(grads) > 1:
                del grads[stream]
        optimizer.step(grads)
        first = {s: g[:2] for s, g in grads.items()}
        second = {s: g[2:] for s, g in grads.items()}
        reference_step(slow[:2], moments[0], first,
                       dict(lr=0.1, betas=(0.9, 0.999), eps=1e-8, **hyper))
        reference_step(slow[2:], moments[1], second,
                       dict(lr=0.03, betas=(0.8, 0.99), eps=1e-5, **hyper))

        assert difference(params, slow) <= 1e-12


def test_a_parameter_without_any_gradient_is_left_alone():
    params = parameters()
    before = [p.clone() for p in params]
    optimizer = DecoupledAdamW(params, 0.1, weight_decay=0.5)
    optimizer.step(dict(task=[torch.ones_like(params[0])] + [None] * 4))

    assert not torch.equal(params[0], before[0])
    assert equal(params[1:], before[1:])
    assert not any(optimizer.state.get(p) for p in params[1:])


def test_gradients_are_neither_modified_nor_kept():
    params = parameters()
    optimizer = DecoupledAdamW(params, 0.1, offsets=DELTAS)
    for step in range(3):
        grads = stream_lists(params, step)
        before = copy.deepcopy(grads)
        optimizer.step(grads)
        held = {
            value.data_ptr()
            for state in optimizer.state.values() for value in state.values()
        }
        given = {g.data_ptr() for values in grads.values() for g in values}

        assert all(equal(grads[s], before[s]) for s in grads)
        assert not held & given


@pytest.mark.parametrize('offsets, merge, streams', [
    (DELTAS, True, ['task', 'target']),
    (DELTAS, False, ['task', 'target', 'non_target']),
    (None, True, ['task']),
    (dict(task=0., plainer=1e-13), True, ['task']),
])
def test_the_state_holds_one_first_moment_per_distinct_momentum(
        offsets, merge, streams):
    params = parameters()
    optimizer = DecoupledAdamW(params, 0.1, offsets=offsets, merge=merge)
    optimizer.step(stream_lists(params, 0, offsets or STREAMS))

    expected = {'step', 'exp_avg_sq', *(f'{s}_exp_avg' for s in streams)}
    assert all(set(optimizer.state[p]) == expected for p in params)


def distance(optimizer_class, offset, steps=400, **kwargs):
    """How far the last step of a stream of constant gradient goes."""
    param = torch.zeros((), dtype=torch.float64)
    optimizer = optimizer_class(
        [param], lr=0.1, weight_decay=0., offsets=dict(task=offset), **kwargs)
    for _ in range(steps):
        before = param.clone()
        optimizer.step(dict(task=[torch.ones_like(param)]))
    return float(before - param)


@pytest.mark.parametrize('offset, factor', [(0.05, 2.), (-0.05, 2 / 3)])
def test_an_offset_weighs_a_stream_in_sgd_and_not_in_adamw(offset, factor):
    assert distance(DecoupledSGD, offset) == pytest.approx(
        factor * distance(DecoupledSGD, 0.))
    assert distance(DecoupledAdamW, offset) == pytest.approx(
        distance(DecoupledAdamW, 0.))


class ForeachCounter(torch.overrides.TorchFunctionMode):
    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += 'foreach' in getattr(func, '__name__', '')
        return func(*args, **(kwargs or {}))


def foreach_calls(groups):
    params = [p for group in groups for p in group['params']]
    optimizer = DecoupledAdamW(groups, 0.1, offsets=DELTAS)
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
