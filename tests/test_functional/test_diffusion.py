"""Noise levels, DDIM steps, noising: slow loops, golden file, diffusers."""
import math

import pytest
import torch

from mmdeepkd.functional import (
    add_noise,
    alphas_cumprod,
    ddim_step,
    ddim_timesteps,
    mix_noise,
    squared_distance,
)
from tests import golden


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def their_scheduler(**kwargs):
    # Loads for seconds: not while tests are collected.
    from diffusers import DDIMScheduler
    return DDIMScheduler(num_train_timesteps=1000, beta_start=1e-4,
                         beta_end=0.02, beta_schedule='linear', **kwargs)


def levels_of(steps):
    """Return the levels that a walk over time steps passes, 1 at its end."""
    return [*alphas_cumprod()[steps].tolist(), 1.0]


def test_the_levels_are_a_product():
    product, found = 1.0, alphas_cumprod()

    for t in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
        assert found[t].item() == pytest.approx(product, rel=2e-5)
    assert found.dtype == torch.float32 and found.shape == (1000, )
    assert found.device.type == 'cpu'


def test_the_levels_are_on_the_cpu_whatever_the_default_device_is():
    with torch.device('meta'):
        assert torch.equal(alphas_cumprod().cpu(), alphas_cumprod().cpu())


def test_golden_scheduler():
    data = golden.load('diffkd__scheduler')
    compare = dict(rtol=1e-6, atol=1e-9)

    torch.testing.assert_close(
        alphas_cumprod(), data['alphas_cumprod'], **compare)
    steps = ddim_timesteps(5)
    assert steps == data['used_timesteps'].tolist()
    sample, levels = data['x_start'], levels_of(steps)
    for i in range(5):
        clean = ddim_step(sample, data['eps'][i], levels[i], 1.0)
        sample = ddim_step(sample, data['eps'][i], *levels[i:i + 2])
        torch.testing.assert_close(clean, data['x0_pred'][i], **compare)
        torch.testing.assert_close(sample, data['x_after_step'][i], **compare)
    noisy = add_noise(data['x_start'], data['noise'],
                      alphas_cumprod()[data['add_noise_t']])
    torch.testing.assert_close(noisy, data['add_noise_out'], **compare)
    mixed = mix_noise(data['x_start'], data['noise'], data['gamma'])
    torch.testing.assert_close(mixed, data['mix_out'], **compare)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('num_steps', [1, 2, 5, 10])
def test_a_walk_equals_that_of_diffusers(num_steps, dtype):
    scheduler = their_scheduler(clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(2 * num_steps)
    theirs = ours = normal(2, 3, 4, 4, dtype=dtype)
    steps = ddim_timesteps(num_steps)
    levels = levels_of(steps)

    for i, t in enumerate(scheduler.timesteps[num_steps:]):
        noise = normal(2, 3, 4, 4, seed=i + 1, dtype=dtype)
        theirs = scheduler.step(noise, t, theirs, eta=0.0).prev_sample
        ours = ddim_step(ours, noise, *levels[i:i + 2])

        assert steps[i] == t
        # Their levels are float32 tensors, whose roots are rounded.
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(
        alphas_cumprod(), scheduler.alphas_cumprod, rtol=1e-6, atol=0)


def test_noising_equals_that_of_diffusers():
    scheduler = their_scheduler()
    clean, noise = normal(4, 3, 2, 2), normal(4, 3, 2, 2, seed=1)
    steps = torch.tensor([0, 3, 500, 999])

    ours = add_noise(clean, noise, alphas_cumprod()[steps])

    torch.testing.assert_close(
        ours, scheduler.add_noise(clean, noise, steps), rtol=1e-6, atol=1e-7)


def test_a_step_equals_the_slow_loop():
    sample, noise = normal(7), normal(7, seed=1)
    a, b = 0.3, 0.6

    found = ddim_step(sample, noise, a, b)

    for x, e, actual in zip(sample.tolist(), noise.tolist(), found.tolist()):
        clean = (x - math.sqrt(1 - a) * e) / math.sqrt(a)
        assert actual == pytest.approx(
            math.sqrt(b) * clean + math.sqrt(1 - b) * e, rel=1e-12)


def test_the_right_noise_gives_the_clean_sample():
    clean, noise = normal(3, 2, 2), normal(3, 2, 2, seed=1)
    noisy = add_noise(clean, noise, torch.full((3, ), 0.2))

    torch.testing.assert_close(
        ddim_step(noisy, noise, 0.2, 1.0), clean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('shape', [(5, ), (5, 3), (5, 3, 2, 4), (0, 3, 2, 2)])
def test_samples_of_any_shape(shape):
    clean, noise = normal(*shape), normal(*shape, seed=1)
    shares = torch.linspace(0.1, 0.9, shape[0], dtype=torch.float64)

    noisy = add_noise(clean, noise, shares)
    mixed = mix_noise(clean, noise, shares)
    distance = squared_distance(noisy, mixed)

    assert noisy.shape == mixed.shape == shape
    assert distance.shape == shape[:1]
    for n, share in enumerate(shares.tolist()):
        torch.testing.assert_close(
            noisy[n], math.sqrt(share) * clean[n]
            + math.sqrt(1 - share) * noise[n])
        torch.testing.assert_close(
            mixed[n], share * clean[n] + (1 - share) * noise[n])
        torch.testing.assert_close(distance[n],
                                   ((noisy[n] - mixed[n])**2).mean())


def test_gradients():
    share = torch.tensor([0.2, 0.9], dtype=torch.float64, requires_grad=True)
    pair = [normal(2, 3, seed=i).requires_grad_() for i in range(2)]

    assert torch.autograd.gradcheck(add_noise, (*pair, share))
    assert torch.autograd.gradcheck(mix_noise, (*pair, share))
    assert torch.autograd.gradcheck(squared_distance, pair)
    assert torch.autograd.gradcheck(
        lambda *args: ddim_step(*args, 0.3, 0.6), pair)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    first, second = (3e2 * normal(4, 8, seed=i).to(dtype) for i in range(2))
    share = torch.tensor([0.0, 0.1, 0.5, 1.0])

    for function, args in ((ddim_step, (0.2, 0.4)), (add_noise, (share, )),
                           (mix_noise, (share, )), (squared_distance, ())):
        found = function(first, second, *args)
        assert found.dtype == torch.float32
        torch.testing.assert_close(
            found, function(first.float(), second.float(), *args))


def test_the_time_steps_lie_in_the_less_noisy_half():
    assert ddim_timesteps(5) == [400, 300, 200, 100, 0]
    assert ddim_timesteps(1) == [0]
    assert ddim_timesteps(500) == list(range(499, -1, -1))


@pytest.mark.parametrize('num_steps', [0, -5, 3, 501])
def test_steps_that_do_not_fit_are_refused(num_steps):
    with pytest.raises(ValueError, match=(
            rf'^num_steps is {num_steps} but must divide 500, .*take one of '
            r'\[1, 2, 4, 5, 10, 20, 25, 50\]; DiffKD takes 5\.$')):
        ddim_timesteps(num_steps)


@pytest.mark.parametrize('num_steps', [5.0, '5', True])
def test_steps_that_are_no_int_are_refused(num_steps):
    with pytest.raises(TypeError, match=r'must be an int: it counts DDIM'):
        ddim_timesteps(num_steps)


@pytest.mark.parametrize(('levels', 'name'), [
    ((0.0, 1.0), 'alpha_cumprod is 0.0'),
    ((1.5, 1.0), 'alpha_cumprod is 1.5'),
    ((0.5, -0.1), 'next_alpha_cumprod is -0.1'),
    ((0.5, math.nan), 'next_alpha_cumprod is nan'),
])
def test_levels_out_of_range_are_refused(levels, name):
    with pytest.raises(ValueError, match=rf'^{name} but must be in \(0, 1\]'):
        ddim_step(normal(2), normal(2), *levels)


@pytest.mark.parametrize(('function', 'name'), [
    (add_noise, 'alpha_cumprod'), (mix_noise, 'gamma')])
def test_levels_of_another_number_are_refused(function, name):
    with pytest.raises(ValueError, match=(
            rf'^{name} has shape \(2,\) but the samples \(3, 4\): give one')):
        function(normal(3, 4), normal(3, 4), normal(2))


@pytest.mark.parametrize('shapes', [((2, 3), (3, 2)), ((), ())])
def test_a_distance_of_two_shapes_is_refused(shapes):
    with pytest.raises(ValueError, match='give both the same shape'):
        squared_distance(*(normal(*shape) for shape in shapes))
