"""The estimator of GSNR, and the momenta that follow it."""
import math

import pytest
import torch

from mmdeepkd.functional import gsnr, gsnr_offsets


def draws(ratio, samples, size=200_000, seed=0):
    """Sample mean and variance of normal gradients of one true GSNR."""
    generator = torch.Generator().manual_seed(seed)
    values = math.sqrt(ratio) + torch.randn(
        samples, size, generator=generator, dtype=torch.float64)
    return values.mean(dim=0), values.var(dim=0)


@pytest.mark.parametrize('samples', [6, 8, 32])
@pytest.mark.parametrize('ratio', [0.05, 0.5, 5.])
def test_the_estimate_is_unbiased(ratio, samples):
    mean, variance = draws(ratio, samples)
    estimates = gsnr(mean, variance, samples)
    error = float(estimates.std() / len(estimates)**0.5)

    assert float(estimates.mean()) == pytest.approx(ratio, abs=4 * error)
    # What the test would not notice is small.
    assert error < 0.012 * max(ratio, 0.2)


@pytest.mark.parametrize('ratio', [0.05, 0.5, 5.])
def test_the_plain_ratio_is_not(ratio):
    mean, variance = draws(ratio, 8)

    assert float((mean**2 / variance).mean()) > 1.3 * ratio


@pytest.mark.parametrize('ratio', [0.05, 5.])
def test_the_scale_of_the_gradient_does_not_matter(ratio):
    mean, variance = draws(ratio, 8, size=100)
    scaled = gsnr(mean * 1e-4, variance * 1e-8, 8)

    assert torch.allclose(scaled, gsnr(mean, variance, 8), rtol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_what_does_not_vary_has_no_ratio(dtype):
    # Sums of equal values may differ by some roundings of float32.
    mean = torch.tensor([0., 2., 2., 2., 2.], dtype=dtype)
    deviation = torch.tensor([0., 0., 2e-7, 1.9e-5, 2.1e-5], dtype=dtype)

    assert gsnr(mean, deviation**2, 8).isnan().tolist() == [
        True, True, True, True, False]


@pytest.mark.parametrize('samples', [0, 3])
def test_too_few_samples_are_refused(samples):
    with pytest.raises(ValueError, match=(
            f'samples is {samples} but must be at least 4: .*no expect')):
        gsnr(torch.ones(1), torch.ones(1), samples)


def test_a_larger_ratio_gets_a_larger_momentum():
    offsets = gsnr_offsets(
        dict(task=0.3, target=0.01, non_target=0.02), delta=0.05)
    assert offsets['task'] > offsets['non_target'] > offsets['target']
    assert max(map(abs, offsets.values())) < 0.05


def test_the_offsets_are_those_of_the_formula():
    ratios = dict(task=0.3, target=0.01, non_target=0.02)
    centre = math.prod(ratios.values())**(1 / 3)

    assert gsnr_offsets(ratios, 0.05) == pytest.approx({
        stream: 0.05 * (ratio - centre) / (ratio + centre)
        for stream, ratio in ratios.items()})


def test_two_streams_move_apart_by_as_much():
    offsets = gsnr_offsets(dict(task=4., target=1.), 0.06)

    assert offsets == pytest.approx(dict(task=0.02, target=-0.02))


@pytest.mark.parametrize('ratios, offsets', [
    (dict(task=2., target=2.), (0., 0.)),
    (dict(task=0., target=-1.), (0., 0.)),
    (dict(plain=3.), (0., )),
    ({}, ()),
])
def test_without_a_difference_there_is_no_offset(ratios, offsets):
    assert gsnr_offsets(ratios, 0.05) == dict(zip(ratios, offsets))


@pytest.mark.parametrize('ratio', [0.03, 1e-9, 0., -3.])
def test_a_ratio_counts_as_a_hundredth_of_the_largest_at_least(ratio):
    ratios = dict(task=4., target=1., non_target=ratio)

    assert gsnr_offsets(ratios, 0.05) == pytest.approx(
        gsnr_offsets(dict(ratios, non_target=0.04), 0.05), rel=1e-12)


@pytest.mark.parametrize('others', [
    dict(target=1.), dict(target=0.02, non_target=1.),
    dict(target=-1., non_target=0.5)], ids=['one', 'two', 'negative'])
def test_an_offset_follows_its_ratio_without_a_jump(others):
    # From -2 to 20, the finest steps around 0.
    sweep = [math.copysign(abs(x)**3, x) * 20
             for x in (i / 4000 for i in range(-1856, 4001))]
    found = [gsnr_offsets(dict(others, task=ratio), 1.) for ratio in sweep]
    for before, after in zip(found, found[1:]):
        assert after['task'] >= before['task'] - 1e-15
        for stream in before:
            assert abs(after[stream] - before[stream]) < 0.005

    assert found[-1]['task'] > 0.5 > 0 > found[0]['task']


@pytest.mark.parametrize('large, small', [
    (1e300, 1e-300), (5e-324, 0.), (5e-324, -1e300)])
def test_extreme_ratios_stay_within_delta(large, small):
    offsets = gsnr_offsets(dict(task=large, target=small), 0.05)

    # tanh of half the logarithm of the root of a hundred.
    assert offsets == pytest.approx(dict(task=0.45 / 11, target=-0.45 / 11))


@pytest.mark.parametrize('delta', [-0.1, math.nan])
def test_a_delta_that_is_no_distance_is_refused(delta):
    with pytest.raises(ValueError, match='^delta is .* but must be >= 0'):
        gsnr_offsets(dict(task=1.), delta)


@pytest.mark.parametrize('ratio', [math.nan, math.inf])
def test_a_ratio_that_is_not_finite_is_refused(ratio):
    with pytest.raises(ValueError, match='the ratios are .*leave out what'):
        gsnr_offsets(dict(task=1., target=ratio), 0.05)
