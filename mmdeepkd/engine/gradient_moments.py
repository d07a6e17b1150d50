"""Mean and variance of gradients over updates, in bounded memory."""
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmdeepkd.functional import gsnr

from .gradients import Gradients, chunks, present

# Elements of a parameter that are read at a time.
_PIECE = 2**18


class GradientMoments:
    """Running mean and squared deviations of every element (Welford 1962).

    Two float32 copies of what a stream reaches are held, however many
    gradients are added; none of them is kept.

    Args:
        params: The parameters, in the order of the gradients.
        samples: How many zero gradients came before the first.

    Attributes:
        samples: How many gradients were added, with those.
    """

    def __init__(self, params: Sequence[Tensor], samples: int = 0) -> None:
        self.samples = samples
        self._params = params
        self._means: List[Optional[Tensor]] = [None] * len(params)
        self._squares: List[Optional[Tensor]] = [None] * len(params)

    @torch.no_grad()
    def add(self, grads: Gradients) -> None:
        """Add the gradient of one update.

        Args:
            grads: One tensor, or None for a zero gradient, per parameter;
                not changed.
        """
        self.samples += 1
        for i, grad in enumerate(grads):
            if grad is not None and self._means[i] is None:
                # As if the gradients before had been the zeros they were.
                dtype = torch.promote_types(grad.dtype, torch.float32)
                self._means[i], self._squares[i] = (
                    torch.zeros_like(self._params[i], dtype=dtype)
                    for _ in range(2))
        reached = [i for i, mean in enumerate(self._means) if mean is not None]
        for chunk in chunks(reached, self._means):
            means = present(self._means, chunk)
            values = [torch.zeros_like(mean) if grads[i] is None
                      else grads[i].to(mean.dtype)  # type: ignore[union-attr]
                      for i, mean in zip(chunk, means)]
            steps = torch._foreach_sub(values, means)
            torch._foreach_add_(means, steps, alpha=1 / self.samples)
            torch._foreach_addcmul_(
                present(self._squares, chunk), steps, steps,
                value=(self.samples - 1) / self.samples)

    @torch.no_grad()
    def gsnr(self, parts: Mapping[str, Sequence[int]]) -> Dict[str, float]:
        """Return the average GSNR of groups of parameters.

        Args:
            parts: ``{name: indices of parameters}``.

        Returns:
            ``{name: mean over the elements whose gradient varies}``, in the
            sense of :func:`mmdeepkd.functional.gsnr`; a part without such an
            element is left out.
        """
        sums = {i: self._sums(i) for i, mean in enumerate(self._means)
                if mean is not None}
        if not sums:
            return {}
        # One synchronisation with the device.
        device = self._params[0].device
        numbers = torch.stack([torch.stack(pair).to(device)
                               for pair in sums.values()])
        found = dict(zip(sums, numbers.tolist()))
        averages = {}
        for name, indices in parts.items():
            pairs = [found[i] for i in indices if i in found]
            count = sum(count for _, count in pairs)
            if count:
                averages[name] = sum(total for total, _ in pairs) / count
        return averages

    def _sums(self, index: int) -> Tuple[Tensor, Tensor]:
        """Return the sum of a parameter's estimates, and their number."""
        mean, squares = self._means[index], self._squares[index]
        assert mean is not None and squares is not None
        sums, counts = [], []
        # In pieces, for what is needed beside the moments to be small.
        for piece, deviations in zip(
                torch.split(mean.flatten(), _PIECE),
                torch.split(squares.flatten(), _PIECE)):
            values = gsnr(piece, deviations / (self.samples - 1),
                          self.samples)
            sums.append(values.nansum().double())
            counts.append(len(values) - values.isnan().count_nonzero())
        return torch.stack(sums).sum(), torch.stack(counts).sum().double()
