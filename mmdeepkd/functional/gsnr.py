"""The signal-to-noise ratio of gradients, and momenta that follow it."""
import math
from typing import Dict, Mapping

import torch
from torch import Tensor

#: Samples that an estimate needs: with fewer its expectation is infinite.
FEWEST_SAMPLES = 4


def gsnr(mean: Tensor, variance: Tensor, samples: int) -> Tensor:
    r"""Estimate :math:`E[g]^2 / \mathrm{Var}[g]`, element by element.

    .. math:: \hat r = \frac{n - 3}{n - 1}\,\frac{\bar g^2}{s^2} - \frac 1 n

    The plain ratio of the sample moments is too large twice over: the square
    of a mean of n samples holds Var / n of noise, and 1 / s^2 is on average
    (n - 1) / (n - 3) / Var. Corrected for both it is unbiased where the
    samples are independent and normal. A single estimate may be negative;
    the average over many is meant.

    Args:
        mean: Sample mean of the gradient, of any shape.
        variance: Sample variance, the squared deviations over n - 1, of the
            same shape.
        samples: n, at least 4; the estimate itself has a finite variance
            from 6 on.

    Returns:
        The estimates; NaN, to be left out of an average, where the variance
        is 0, or no more than what rounding makes of equal values.

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
    varies = ratio < torch.finfo(mean.dtype).eps**-2
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
    [-delta, delta]. The mapping is this package's choice: the paper fixes
    the offsets by hand.

    Args:
        ratios: ``{stream: GSNR}``; what is not positive counts as the
            smallest positive one of them.
        delta: The largest distance, >= 0.

    Returns:
        ``{stream: offset}``; all 0 where no ratio is positive.

    Raises:
        ValueError: A ratio is NaN or infinite, or delta is negative.

    Example:
        >>> gsnr_offsets(dict(task=4., target=1.), delta=0.06)
        {'task': 0.02, 'target': -0.02}
    """
    if not all(math.isfinite(ratio) for ratio in ratios.values()):
        raise ValueError(f'the ratios are {dict(ratios)} but must be finite '
                         'numbers: leave out what could not be measured.')
    if not delta >= 0:
        raise ValueError(f'delta is {delta} but must be >= 0: it is the '
                         'largest distance from the base momentum.')
    positive = [ratio for ratio in ratios.values() if ratio > 0]
    if not positive:
        return dict.fromkeys(ratios, 0.0)
    logs = {stream: math.log(max(ratio, min(positive)))
            for stream, ratio in ratios.items()}
    centre = sum(logs.values()) / len(logs)
    return {stream: delta * math.tanh((value - centre) / 2)
            for stream, value in logs.items()}
