"""Running moments of gradients against those of all of them at once."""
import weakref
from unittest import mock

import pytest
import torch

from mmdeepkd.engine import gradients
from mmdeepkd.engine.gradient_moments import GradientMoments
from mmdeepkd.functional import gsnr

SHAPES = [(3, 4), (5, ), (2, 2, 3)]


def samples(count=8, seed=0, dtype=torch.float):
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=generator).to(dtype) + 1
             for shape in SHAPES] for _ in range(count)]


def params(dtype=torch.float):
    return [torch.zeros(shape, dtype=dtype) for shape in SHAPES]


def measured(lists, parts=None, **kwargs):
    moments = GradientMoments(params(), **kwargs)
    for grads in lists:
        moments.add(grads)
    return moments.gsnr(parts or {'all': range(len(SHAPES))})


def expected(lists, indices=(0, 1, 2)):
    """The mean over elements, from all samples kept in float64."""
    estimates = []
    for i in indices:
        stacked = torch.stack([
            torch.zeros(SHAPES[i], dtype=torch.float64)
            if grads[i] is None else grads[i].double() for grads in lists])
        estimates.append(gsnr(stacked.mean(0), stacked.var(0),
                              len(lists)).flatten())
    return float(torch.cat(estimates).nanmean())


@pytest.mark.parametrize('count', [4, 8, 33])
def test_the_moments_are_those_of_all_samples(count):
    lists = samples(count)

    assert measured(lists)['all'] == pytest.approx(
        expected(lists), rel=1e-5)


def test_small_chunks_change_nothing(monkeypatch):
    lists = samples()
    whole = measured(lists)
    monkeypatch.setattr(gradients, '_CHUNK_BYTES', 16)

    assert measured(lists) == whole


def test_parts_are_measured_apart():
    lists = samples()
    parts = {'first': [0], 'rest': [1, 2], 'all': [0, 1, 2], 'none': []}
    found = measured(lists, parts)

    assert found == pytest.approx({
        name: expected(lists, indices) for name, indices in parts.items()
        if indices}, rel=1e-5)


def test_a_missing_gradient_is_a_zero():
    lists = samples()
    # Missing at first, in between and, of the last parameter, always.
    lists[0][0] = lists[1][0] = lists[4][1] = None
    for grads in lists:
        grads[2] = None
    found = measured(lists, {'all': [0, 1, 2], 'last': [2]})

    assert found == pytest.approx(dict(all=expected(lists, [0, 1])), rel=1e-5)


def test_updates_may_come_before_the_first_gradient():
    lists = [[None] * 3] * 3 + samples(5)

    assert measured(lists[3:], samples=3) == pytest.approx(measured(lists))


def test_what_does_not_vary_is_left_out():
    lists = samples()
    for grads in lists:
        grads[0] = torch.full(SHAPES[0], 0.1)
        grads[1][:3] = 7.

    alone = [[grads[2], grads[1][3:]] for grads in lists]
    moments = GradientMoments([torch.zeros(2, 2, 3), torch.zeros(2)])
    for grads in alone:
        moments.add(grads)
    found = measured(lists, {'all': [0, 1, 2], 'constant': [0]})

    assert found == pytest.approx(moments.gsnr({'all': [0, 1]}), rel=1e-6)


def test_nothing_was_added():
    assert GradientMoments(params()).gsnr({'all': [0, 1, 2]}) == {}


def test_half_gradients_are_gathered_in_float32():
    lists = samples(8, dtype=torch.bfloat16)
    moments = GradientMoments(params(torch.bfloat16))
    for grads in lists:
        moments.add(grads)

    assert moments.gsnr({'all': [0, 1, 2]})['all'] == pytest.approx(
        expected(lists), rel=1e-5)


def test_a_large_mean_hides_no_variance():
    """The sum of squares less the square of the sum would be 0 or less."""
    lists = [[grad * 0.01 + 100 for grad in grads] for grads in samples(16)]

    assert measured(lists)['all'] == pytest.approx(expected(lists), rel=1e-2)


def test_gradients_are_neither_changed_nor_kept():
    moments = GradientMoments(params())
    lists = samples(5)
    while lists:
        grads = lists.pop()
        before = [grad.clone() for grad in grads]
        moments.add(grads)
        assert all(map(torch.equal, grads, before))
        kept = [weakref.ref(grad) for grad in grads]
        del grads
        assert not any(ref() is not None for ref in kept)


def test_the_memory_is_two_copies():
    moments = GradientMoments(params())
    for grads in samples(12):
        moments.add(grads)
    held = [tensor for values in vars(moments).values()
            if isinstance(values, list) and values is not moments._params
            for tensor in values]

    assert len(held) == 2 * len(SHAPES)


def test_the_numbers_are_read_at_once():
    moments = GradientMoments(params())
    for grads in samples():
        moments.add(grads)
    read, reads = torch.Tensor.tolist, []
    with mock.patch.object(torch.Tensor, 'tolist', lambda tensor: (
            reads.append(tensor), read(tensor))[1]):
        moments.gsnr({'all': [0, 1, 2], 'first': [0]})

    assert len(reads) == 1
