"""The top-k mask and the schedule of k."""
import math

import pytest
import torch

from mmdeepkd.functional import dynamic_topk, topk_keep_mask
from tests import golden


def batch(num_rows, num_classes):
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(num_rows, num_classes, generator=generator)
    return teacher, torch.randint(
        num_classes, (num_rows, ), generator=generator)


@pytest.mark.parametrize('k', [1, 2, 5, 7])
def test_keeps_the_k_best_non_target_classes(k):
    teacher, target = batch(12, 9)

    keep = topk_keep_mask(teacher, target, k)

    for row, label, kept in zip(teacher.tolist(), target.tolist(), keep):
        ranked = sorted(
            (c for c in range(9) if c != label), key=lambda c: -row[c])
        assert kept.nonzero()[:, 0].tolist() == sorted(ranked[:k])


@pytest.mark.parametrize('k', [8, 9, 1000])
def test_k_of_all_others_or_more_keeps_every_non_target(k):
    teacher, target = batch(12, 9)

    keep = topk_keep_mask(teacher, target, k)

    expected = torch.ones(12, 9, dtype=torch.bool)
    expected[torch.arange(12), target] = False
    assert torch.equal(keep, expected)


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ties_still_keep_exactly_k(dtype):
    teacher = torch.zeros(4, 6, dtype=dtype)
    target = torch.tensor([0, 2, 4, 5])

    keep = topk_keep_mask(teacher, target, 3)

    assert keep.sum(1).tolist() == [3] * 4
    assert not keep[torch.arange(4), target].any()


def test_two_classes_and_empty():
    teacher, target = batch(5, 2)

    assert topk_keep_mask(teacher, target, 1).sum(1).tolist() == [1] * 5
    none = torch.empty(0, dtype=torch.int64)
    assert topk_keep_mask(torch.empty(0, 6), none, 2).shape == (0, 6)


@pytest.mark.parametrize('k', [0, -1])
def test_k_below_one_raises(k):
    with pytest.raises(ValueError, match=f'k is {k} but must be at least 1'):
        topk_keep_mask(*batch(3, 5), k)


def test_k_must_be_an_integer():
    with pytest.raises(TypeError, match='k is 2.5 but must be an int'):
        topk_keep_mask(*batch(3, 5), 2.5)


@pytest.mark.parametrize('name', ['c100', 'c1000', 'tiny'])
def test_schedule_golden(name):
    """Compare with K per epoch e = 1..E of the golden schedule.

    Its phases end at epochs: easy at e1, transition at e2, and K is linear
    in (e - 1) / (e1 - 1) and in (e - e2) / (E - e2). Epoch e has progress
    (e - 1) / (E - 1), so the same lines are p1 = (e1 - 1) / (E - 1) and
    p2 = (e2 - 1) / (E - 1): progress / p1 and (progress - p2) / (1 - p2) are
    the two fractions, and at e = e1 both definitions give the static k.
    """
    data = golden.load('paper_dtm_schedule__own')
    num_classes, static_k, first_end, last_start, epochs = data[
        f'{name}_args'].tolist()
    phases = ((first_end - 1) / (epochs - 1), (last_start - 1) / (epochs - 1))

    schedule = [
        dynamic_topk((epoch - 1) / (epochs - 1),
                     num_classes,
                     static_k,
                     phases=phases) for epoch in range(1, epochs + 1)
    ]

    assert schedule == data[f'{name}_k'].tolist()


@pytest.mark.parametrize('num_classes', [2, 3, 10, 81, 100, 1000])
def test_schedule_starts_and_ends_where_it_should(num_classes):
    num_others = num_classes - 1
    static_k = max(1, math.floor(0.4 * num_others + 0.5))

    ks = [
        dynamic_topk(step / 200, num_classes, static_k)
        for step in range(201)
    ]

    assert ks[0] == min(max(1, math.ceil(num_classes / 20)), static_k)
    assert set(ks[60:141]) == {static_k}
    assert ks[-1] == num_others
    assert ks == sorted(ks)
    assert all(isinstance(k, int) for k in ks)


def test_halves_round_up_whatever_the_float_error():
    # 1 + 9 * (6/9 - 0.6) / 0.4 is 2.5, in floats a little less.
    assert 1 + 9 * (6 / 9 - 0.6) / (1 - 0.6) < 2.5
    assert dynamic_topk(6 / 9, 11, 1, phases=(0.2, 0.6)) == 3


def test_the_initial_share_has_no_float_error():
    assert math.ceil(0.07 * 100) == 8
    assert dynamic_topk(0.0, 100, 50, initial_ratio=0.07) == 7


@pytest.mark.parametrize(('progress', 'phases', 'expected'), [
    (0.0, (0.0, 0.5), 4),
    (0.0, (0.0, 0.0), 4),
    (1.0, (0.0, 0.0), 9),
    (1.0, (0.5, 1.0), 4),
    (1.0, (1.0, 1.0), 4),
    (0.0, (1.0, 1.0), 1),
    (0.5, (0.5, 0.5), 4),
    (0.5, (0.0, 1.0), 4),
    (1.0, (0.3, 0.7), 9),
])
def test_phases_of_no_length(progress, phases, expected):
    assert dynamic_topk(progress, 10, 4, phases=phases) == expected


def test_options_change_the_schedule():
    assert dynamic_topk(0.0, 100, 40) == 5
    assert dynamic_topk(0.0, 100, 40, initial_ratio=0.0) == 1
    assert dynamic_topk(0.0, 100, 40, initial_ratio=0.101) == 11
    assert dynamic_topk(0.0, 100, 3) == 3
    assert dynamic_topk(0.15, 100, 40) == 23
    assert dynamic_topk(0.15, 100, 40, phases=(0.1, 0.7)) == 40
    assert dynamic_topk(0.5, 100, 500) == 99


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(progress=-0.1), r'progress is -0.1 but must be in \[0, 1\]'),
    (dict(progress=1.1), r'progress is 1.1 but must be in \[0, 1\]'),
    (dict(progress=math.nan), 'progress is nan'),
    (dict(num_classes=1), 'num_classes is 1 but must be at least 2'),
    (dict(static_k=0), 'static_k is 0 but must be at least 1'),
    (dict(initial_ratio=1.5), r'initial_ratio is 1.5 but must be in \[0, 1\]'),
    (dict(initial_ratio=-0.1), 'initial_ratio is -0.1'),
    (dict(phases=(0.7, 0.3)), 'phases is .* must be two rising'),
    (dict(phases=(-0.1, 0.3)), 'phases is'),
    (dict(phases=(0.1, 1.3)), 'phases is'),
    (dict(phases=(0.1, )), 'phases is'),
])
def test_invalid_arguments_raise(arguments, message):
    valid = dict(progress=0.5, num_classes=10, static_k=4)
    with pytest.raises(ValueError, match=message):
        dynamic_topk(**{**valid, **arguments})


@pytest.mark.parametrize('name', ['num_classes', 'static_k'])
def test_counts_must_be_integers(name):
    valid = dict(progress=0.5, num_classes=10, static_k=4)
    with pytest.raises(TypeError, match=f'{name} is 4.0 but must be an int'):
        dynamic_topk(**{**valid, name: 4.0})
