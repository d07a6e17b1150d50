"""How far what two modules give is apart."""
import math

import pytest
import torch

from mmdeepkd.distillers.speedup.comparison import tolerance
from mmdeepkd.distillers.speedup.tensors import (
    map_tensors,
    relative_difference,
)

NAN, INF = math.nan, math.inf


def floats(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)


@pytest.mark.parametrize('expected, found, difference', [
    ([1, -4], [1, -4], 0), ([1, -4], [2, -4], 0.25), ([-4, 1], [-2, 1], 0.5),
    ([0, 0], [0, 0], 0), ([0, 0], [1e-6, 0], 1e-3), ([0, 0], [3, 0], 3000),
    ([1e-5], [2e-5], 0.01), ([1, 2], [1, INF], INF), ([], [], 0),
])
def test_it_is_a_part_of_the_largest_value(expected, found, difference):
    assert relative_difference(
        floats(*expected), floats(*found)) == pytest.approx(difference)


@pytest.mark.parametrize('first, second', [
    ([1, NAN], [1, 1]), ([1, 1], [1, NAN]), ([INF], [INF])])
@pytest.mark.parametrize('place', [0, 1, 2])
def test_what_is_not_a_number_stays_so(first, second, place):
    """Wherever it is among tensors that are equal or not."""
    expected = [floats(1), floats(2)]
    found = [floats(1), floats(3)]
    expected.insert(place, floats(*first))
    found.insert(place, floats(*second))

    assert math.isnan(relative_difference(expected, found))


def test_the_largest_of_all_tensors_counts():
    expected = dict(a=floats(1), b=(floats(2), [floats(4)]))
    found = dict(a=floats(1), b=(floats(4), [floats(5)]))

    assert relative_difference(expected, found) == 1


@pytest.mark.parametrize('found', [
    [floats(1)], [floats(1), floats(1), floats(1)],
    [floats(1), floats(1, 1)], [floats(1)[:0], floats(1)]],
    ids=['fewer', 'more', 'broadcast', 'empty'])
def test_other_tensors_are_infinitely_far(found):
    assert relative_difference([floats(1), floats(1)], found) == INF


def test_integers_say_nothing():
    assert relative_difference(torch.tensor([1]), torch.tensor([2])) == 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_coarse_types_are_compared_in_float32(dtype):
    # 1 / 256 would be rounded to 0 in bfloat16, and 6e4 * 2 to infinity.
    found = relative_difference(
        floats(6e4, -1, dtype=dtype), floats(-6e4, -1, dtype=dtype))
    assert found == pytest.approx(2, rel=1e-2)
    assert relative_difference(
        floats(1, dtype=dtype), floats(1 + 2**-8)) == 2**-8


def test_float64_keeps_its_precision():
    one = floats(1, dtype=torch.float64)

    assert relative_difference(one, one + 1e-14) == pytest.approx(
        1e-14, rel=0.1)


def test_nothing_it_is_given_is_changed():
    a, b = floats(1, -2), floats(-3, 4)
    relative_difference(a, b)

    assert a.tolist() == [1, -2] and b.tolist() == [-3, 4]
    assert map_tensors(torch.neg, (a, 'x'))[1] == 'x'


@pytest.mark.parametrize('device, dtypes, explained', [
    ('cpu', [torch.float32], 1e-3), ('cuda', [torch.float32], 1e-2),
    ('cpu', [torch.float32, torch.bfloat16], 0.125),
    ('cuda', [torch.float32, torch.float16], 0.015625),
    ('cpu', [torch.bfloat16], 0.125),
], ids=['cpu', 'tf32', 'bf16', 'fp16', 'weights in bf16'])
def test_what_rounding_explains(device, dtypes, explained):
    assert tolerance(device, dtypes) == explained
