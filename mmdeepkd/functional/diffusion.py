"""Deterministic diffusion: noise levels, DDIM steps, noising, distance.

A noise level is named by its ``alpha_cumprod``, the share of the clean
signal's variance that is left: 1 is clean, 0 is pure noise.
"""
import math
from typing import List

import torch
from torch import Tensor

from .inputs import upcast

#: Noise levels that a diffusion model is trained on.
NUM_TIMESTEPS = 1000


def alphas_cumprod() -> Tensor:
    r"""Return how much of the signal is left at every time step.

    .. math:: \bar\alpha_t = \prod_{s \le t} (1 - \beta_s), \qquad
        \beta_s \text{ linear from } 10^{-4} \text{ to } 0.02

    See "Denoising Diffusion Probabilistic Models" (Ho et al. 2020),
    section 4; DDIM calls it alpha_t.

    Returns:
        (1000,), float32 on the CPU, falling from 0.9999 to 4e-5.

    Example:
        >>> alphas_cumprod()[[0, 400, 999]]
        tensor([9.9990e-01, 1.9357e-01, 4.0358e-05])
    """
    betas = torch.linspace(
        1e-4, 0.02, NUM_TIMESTEPS, dtype=torch.float32, device='cpu')
    return (1 - betas).cumprod(dim=0)


def ddim_timesteps(num_steps: int) -> List[int]:
    """Return the time steps of the second half of a DDIM trajectory.

    They are 1000 / (2 ``num_steps``) apart and end at 0: a trajectory of
    twice as many steps over all noise levels, of which only the less noisy
    half is walked, as the released code of DiffKD does, since a feature is
    no pure noise to begin with.

    Args:
        num_steps: How many, a divisor of 500.

    Returns:
        The falling time steps, each in 0..499.

    Raises:
        TypeError: It is not an int.
        ValueError: It does not divide 500.

    Example:
        >>> ddim_timesteps(5)
        [400, 300, 200, 100, 0]
    """
    if isinstance(num_steps, bool) or not isinstance(num_steps, int):
        raise TypeError(f'num_steps is {num_steps!r} but must be an int: it '
                        'counts DDIM steps.')
    half = NUM_TIMESTEPS // 2
    if num_steps < 1 or half % num_steps:
        choices = [n for n in range(1, 51) if half % n == 0]
        raise ValueError(
            f'num_steps is {num_steps} but must divide {half}, the time '
            f'steps that are walked: take one of {choices}; DiffKD takes 5.')
    return list(range(0, half, half // num_steps))[::-1]


def ddim_step(sample: Tensor, noise: Tensor, alpha_cumprod: float,
              next_alpha_cumprod: float) -> Tensor:
    r"""Return a sample at the next, less noisy level.

    .. math:: x' = \sqrt{\bar\alpha'}\,\hat x_0
            + \sqrt{1 - \bar\alpha'}\,\epsilon, \qquad
        \hat x_0 = \frac{x - \sqrt{1 - \bar\alpha}\,\epsilon}
            {\sqrt{\bar\alpha}}

    "Denoising Diffusion Implicit Models" (Song et al. 2020), equation 12
    with sigma = 0. It is one weighted sum of x and epsilon, computed as
    such.

    Args:
        sample: x, floating, of any shape.
        noise: The predicted epsilon, of the same shape.
        alpha_cumprod: The level of x, in (0, 1].
        next_alpha_cumprod: The level to reach, in (0, 1]; at 1 the result
            is the predicted clean sample.

    Returns:
        Of the same shape, float32 for half inputs.

    Raises:
        ValueError: A level is outside (0, 1].

    Example:
        >>> import torch
        >>> ddim_step(torch.tensor([2.]), torch.tensor([1.]), 0.25, 1.)
        tensor([2.2679])
    """
    for name, level in (('alpha_cumprod', alpha_cumprod),
                        ('next_alpha_cumprod', next_alpha_cumprod)):
        if not 0 < level <= 1:
            raise ValueError(f'{name} is {level} but must be in (0, 1]: take '
                             'levels of alphas_cumprod(), or 1 for no noise.')
    scale = math.sqrt(next_alpha_cumprod / alpha_cumprod)
    amount = (math.sqrt(1 - next_alpha_cumprod)
              - scale * math.sqrt(1 - alpha_cumprod))
    return torch.add(scale * upcast(sample), upcast(noise), alpha=amount)


def add_noise(clean: Tensor, noise: Tensor, alpha_cumprod: Tensor) -> Tensor:
    r"""Return clean samples with noise of a level each.

    .. math:: x = \sqrt{\bar\alpha}\,x_0 + \sqrt{1 - \bar\alpha}\,\epsilon

    "Denoising Diffusion Probabilistic Models" (Ho et al. 2020), equation 4.

    Args:
        clean: Floating, of shape (N, ...).
        noise: Normal noise of the same shape.
        alpha_cumprod: Levels of shape (N,), in (0, 1].

    Returns:
        Of the same shape, float32 for half inputs.

    Raises:
        ValueError: ``alpha_cumprod`` is not of shape (N,).
    """
    clean = upcast(clean)
    levels = _per_sample(alpha_cumprod, clean, 'alpha_cumprod')
    return levels.sqrt() * clean + (1 - levels).sqrt() * noise


def mix_noise(feature: Tensor, noise: Tensor, gamma: Tensor) -> Tensor:
    r"""Return features mixed with noise, a share of each.

    .. math:: x = \gamma\,f + (1 - \gamma)\,\epsilon

    The adaptive noise matching of DiffKD, "Knowledge Diffusion for
    Distillation" (Huang et al. 2023): no square roots, so that the variance
    changes with gamma.

    Args:
        feature: Floating, of shape (N, ...).
        noise: Normal noise of the same shape.
        gamma: Shares of the feature, of shape (N,), in [0, 1].

    Returns:
        Of the same shape, float32 for half inputs.

    Raises:
        ValueError: ``gamma`` is not of shape (N,).
    """
    feature = upcast(feature)
    shares = _per_sample(gamma, feature, 'gamma')
    return shares * feature + (1 - shares) * noise


def squared_distance(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Return the mean squared difference of every sample.

    Args:
        prediction: Floating, of shape (N, ...).
        target: Of the same shape.

    Returns:
        Of shape (N,), float32 for half inputs: its mean over N is the mean
        over all elements.

    Raises:
        ValueError: The shapes differ or have no N.

    Example:
        >>> import torch
        >>> squared_distance(torch.tensor([[1., 3.]]), torch.zeros(1, 2))
        tensor([5.])
    """
    if prediction.shape != target.shape or not prediction.dim():
        raise ValueError(
            f'prediction has shape {tuple(prediction.shape)} and target '
            f'{tuple(target.shape)}: give both the same shape (N, ...).')
    difference = upcast(prediction) - upcast(target)
    if difference.dim() == 1:
        return difference.square()
    return difference.square().flatten(1).mean(dim=1)


def _per_sample(values: Tensor, samples: Tensor, name: str) -> Tensor:
    """Return (N,) values in the samples' dtype, to multiply (N, ...)."""
    shape = (-1, *[1] * (samples.dim() - 1))
    if values.shape != samples.shape[:1]:
        raise ValueError(
            f'{name} has shape {tuple(values.shape)} but the samples '
            f'{tuple(samples.shape)}: give one value per sample, (N,).')
    return values.to(samples.dtype).view(shape)
