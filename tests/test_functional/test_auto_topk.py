"""A static K and phases from the teacher's logits."""
import math

import pytest
import torch

from mmdeepkd.functional import dynamic_topk
from mmdeepkd.functional.auto_topk import (
    covered_mass,
    covering_counts,
    proposed_phases,
    proposed_topk,
)


def batch(num_rows=12, num_classes=9, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_rows, num_classes, generator=generator) * scale
    return logits, torch.randint(
        num_classes, (num_rows, ), generator=generator)


def slow_shares(row, label, temperature):
    """Softmax over the others, the largest first, added up."""
    others = sorted((value for c, value in enumerate(row) if c != label),
                    reverse=True)
    terms = [math.exp((value - others[0]) / temperature) for value in others]
    return [sum(terms[:k + 1]) / sum(terms) for k in range(len(terms))]


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_the_covered_mass_is_that_of_a_slow_loop(temperature):
    logits, target = batch()

    covered = covered_mass(logits, target, temperature)

    expected = [slow_shares(row, label, temperature)
                for row, label in zip(logits.tolist(), target.tolist())]
    assert covered.dtype == torch.float64
    torch.testing.assert_close(
        covered, torch.tensor(expected, dtype=torch.float64),
        rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.95, 0.999])
def test_the_count_is_the_first_that_covers(share):
    logits, target = batch()

    counts = covering_counts(covered_mass(logits, target, 2.0), share)

    for row, label, count in zip(logits.tolist(), target.tolist(), counts):
        shares = slow_shares(row, label, 2.0)
        assert shares[int(count) - 1] >= share
        assert count == 1 or shares[int(count) - 2] < share


@pytest.mark.parametrize('value', [0.0, 37.3, -1e4])
@pytest.mark.parametrize('num_classes, count', [(21, 19), (101, 95), (3, 2)])
def test_of_equal_classes_as_many_as_the_share(num_classes, count, value):
    logits = torch.full((4, num_classes), value)
    target = torch.tensor([0, 1, 2, 2])

    counts = covering_counts(covered_mass(logits, target, 4.0), 0.95)

    assert counts.tolist() == [count] * 4


def test_a_sure_teacher_needs_one_class():
    logits = torch.zeros(2, 6)
    logits[:, 3] = 1e4
    covered = covered_mass(logits, torch.tensor([0, 3]), 1.0)

    # Of the second row the target is the sure class, and the rest is equal.
    assert covered[0].tolist() == [1.0] * 5
    torch.testing.assert_close(
        covered[1], torch.arange(1, 6, dtype=torch.float64) / 5)
    assert covering_counts(covered, 0.95).tolist() == [1, 5]


def test_two_classes_and_no_rows():
    logits, target = batch(num_classes=2)
    covered = covered_mass(logits, target, 1.0)

    assert torch.equal(covered, torch.ones(12, 1, dtype=torch.float64))
    assert covering_counts(covered, 0.5).tolist() == [1] * 12
    nothing = covered_mass(torch.empty(0, 5), torch.empty(0).long(), 1.0)
    assert nothing.shape == (0, 4)
    assert covering_counts(nothing, 0.5).shape == (0, )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_logits_are_summed_in_double(dtype):
    logits, target = batch(num_classes=200)
    logits = logits.to(dtype)

    assert torch.equal(covered_mass(logits, target, 4.0),
                       covered_mass(logits.double(), target, 4.0))


@pytest.mark.parametrize('mean, others, k', [
    (22.49, 99, 22), (22.5, 99, 23), (98.7, 99, 99), (1.0, 99, 2),
    (1.0, 1, 1), (2.0, 2, 2)
])
def test_the_mean_is_rounded_half_up_and_two_at_least(mean, others, k):
    assert proposed_topk(mean, others) == k


def test_each_phase_lasts_the_share_that_is_its_own():
    """What the first class holds, what two more add, and the rest."""
    assert proposed_phases([0.3, 0.55, 0.75, 0.9, 1.0], 1, 3) == (0.3, 0.75)


@pytest.mark.parametrize('temperature', [0.05, 1.0, 4.0, 1e3])
@pytest.mark.parametrize('num_classes', [2, 3, 30])
@pytest.mark.parametrize('initial_ratio', [0.0, 0.05, 1.0])
def test_a_proposal_is_always_a_schedule(temperature, num_classes,
                                         initial_ratio):
    covered = covered_mass(*batch(num_classes=num_classes), temperature)
    mean = covered.mean(0).tolist()

    for static_k in range(1, num_classes):
        first = dynamic_topk(0.0, num_classes, static_k, initial_ratio)
        phases = proposed_phases(mean, first, static_k)
        values = [dynamic_topk(p / 20, num_classes, static_k, initial_ratio,
                               phases) for p in range(21)]
        assert 0 <= phases[0] <= phases[1] <= 1
        assert values == sorted(values)
        assert static_k <= values[-1]
        # Nothing is left for a hard phase only where K covers it all.
        assert values[-1] == num_classes - 1 or phases[1] == 1


@pytest.mark.parametrize('change, error, message', [
    (dict(logits_teacher=torch.zeros(2, 3, 4)), ValueError, r'be \(N, C\)'),
    (dict(target=torch.zeros(2)), TypeError, 'must be int64'),
    (dict(target=torch.tensor([0, 3])), ValueError, 'holds class 3'),
    (dict(temperature=0.0), ValueError, 'temperature is 0.0'),
])
def test_what_the_mass_refuses(change, error, message):
    arguments = dict(logits_teacher=torch.zeros(2, 3),
                     target=torch.tensor([0, 1]), temperature=1.0)
    with pytest.raises(error, match=message):
        covered_mass(**{**arguments, **change})


@pytest.mark.parametrize('share', [0.0, 1.0, -0.5, math.nan])
def test_a_share_is_a_part(share):
    with pytest.raises(ValueError, match=r'share is .* in \(0, 1\)'):
        covering_counts(torch.ones(1, 1), share)
