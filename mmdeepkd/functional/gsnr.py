"""The signal-to-noise ratio of gradients, and momenta that follow it."""
import math
from typing import Dict, Mapping

import torch
from torch import Tensor

#: Samples that an estimate needs: with fewer its expectation is infinite.
FEWEST_SAMPLES = 4

# From here on an element counts as constant: its relative standard deviation
# is below 1e-5, what sums in float32, of another order each time, make of
# equal values.
_CONSTANT = 1e10
# The least part of the largest ratio that counts.
_FLOOR = 0.01


def gsnr(mean: Tensor, variance: Tensor, samples: int) -> Tensor:
    r"""Estimate :math:`E[g]^2 / \mathrm{Var}[g]`, element by element.

    .. math:: \hat r = \frac{n - 3}{n - 1}\,\frac{\bar g^2}{s^2} - \frac 1 n

    The plain ratio of the sample moments is too large twice over: the square
    of a mean of n samples holds Var / n of noise, and 1 / s^2 is on average
    (n - 1) / (n - 3) / Var. Corrected for both it is unbiased where the
    samples are independent and normal. A single estimate may be negative;
    the average over many is meant. That is not robust: an element whose
    gradient hardly varies has a ratio of up to 1e10, and dominates a mean.

    Args:
        mean: Sample mean of the gradient, of any shape.
        variance: Sample variance, the squared deviations over n - 1, of the
            same shape.
        samples: n, at least 4; the estimate itself has a finite variance
            from 6 on.

    Returns:
        The estimates; NaN, to be left out of an average, where the gradient
        counts as constant: the squared mean is at least 1e10 times the
        variance, the standard deviation no more than float32 sums make of
        equal values.

    Raises:
        ValueError: There are fewer than 4 samples.

    Example:
        >>> import torch
        >>> gsnr(torch.tensor([2.]), torch.tensor([1.]), samples=5)
        tensor([1.8000])
    """
    if samples < FEWEST_SAMPLES:
        raise ValueError(f'samples is {samples} but must be at least '
                         f'{FEWEST_SAMPLES}: with fewer the ratio of the '
                         'sample moments has no expectation.')
    ratio = mean.square() / variance
    # 0 / 0 is not below it either.
    varies = ratio < _CONSTANT
    corrected = ratio * ((samples - 3) / (samples - 1)) - 1 / samples
    return torch.where(varies, corrected, math.nan)


def gsnr_offsets(ratios: Mapping[str, float],
                 delta: float) -> Dict[str, float]:
    r"""Return each stream's distance from the base momentum.

    .. math:: o_s = \Delta\,\frac{r_s - \bar r}{r_s + \bar r}
            = \Delta \tanh \tfrac 1 2 \ln \frac{r_s}{\bar r}, \qquad
        \bar r = \Bigl(\prod_s r_s\Bigr)^{1/S}

    A stream of a larger ratio gets a larger momentum, as DeepKD (Sec. 3.2)
    argues; equal ratios get the base momentum; none leaves
    [-delta, delta]. A ratio below a hundredth of the largest, negative ones
    too, counts as that hundredth: an estimate around 0 has no logarithm to
    trust, and so its offset neither jumps nor turns where it changes sign,
    as long as another ratio is positive. Where the last positive one is lost
    all offsets become 0 at once. The mapping is this package's choice: the
    paper fixes the offsets by hand.

    Args:
        ratios: ``{stream: GSNR}``.
        delta: The largest distance, >= 0.

    Returns:
        ``{stream: offset}``; all 0 where no ratio is positive.

    Raises:
        ValueError: A ratio is NaN or infinite, or delta is negative.

    Example:
        >>> gsnr_offsets(dict(task=4., target=1.), delta=0.06)
        {'task': 0.02, 'target': -0.02}
        >>> gsnr_offsets(dict(task=4., target=-1.), delta=0.06)
        {'task': 0.0491, 'target': -0.0491}
    """
    if not all(math.isfinite(ratio) for ratio in ratios.values()):
        raise ValueError(f'the ratios are {dict(ratios)} but must be finite '
                         'numbers: leave out what could not be measured.')
    if not delta >= 0:
        raise ValueError(f'delta is {delta} but must be >= 0: it is the '
                         'largest distance from the base momentum.')
    largest = max(ratios.values(), default=0.0)
    if largest <= 0:
        return dict.fromkeys(ratios, 0.0)
    # As logarithms: a hundredth may be too small a number.
    least = math.log(largest) + math.log(_FLOOR)
    logs = {stream: max(math.log(ratio), least) if ratio > 0 else least
            for stream, ratio in ratios.items()}
    centre = sum(logs.values()) / len(logs)
    return {stream: delta * math.tanh((value - centre) / 2)
            for stream, value in logs.items()}
