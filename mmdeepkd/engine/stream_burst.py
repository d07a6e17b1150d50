"""What a few consecutive updates show of the gradient streams."""
import math
from itertools import combinations, combinations_with_replacement
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from .agreement import Agreement
from .gradient_moments import GradientMoments
from .gradients import Gradients, parameters, world_size
from .observation import Observation
from .optimizers import DecoupledOptimizer

_Pair = Tuple[str, str]


class StreamBurst:
    """Gathers updates, stream by stream, in bounded memory.

    Args:
        optimizer: Whose streams these are.
        counted: Indices of the parameters that averages, norms and cosines
            are over; None: all.

    Attributes:
        samples: How many updates were gathered.
    """

    def __init__(self,
                 optimizer: DecoupledOptimizer,
                 counted: Optional[Sequence[int]] = None) -> None:
        self.samples = 0
        self._known = list(optimizer.leaders())
        self._params = parameters(optimizer)
        self._counted = range(len(self._params)) if counted is None \
            else counted
        self._moments: Dict[str, GradientMoments] = {}
        self._norms: Dict[str, float] = {}
        self._cosines: Dict[_Pair, List[float]] = {}
        self._losses: Dict[str, List[Tensor]] = {}

    @property
    def streams(self) -> List[str]:
        """The streams seen so far, in the order of the optimizer."""
        return [stream for stream in self._known if stream in self._moments]

    def add(self, observation: Observation) -> None:
        """Gather one update; it takes one wait for the device.

        One in which a stream overflows is left out.

        Args:
            observation: Of the update.
        """
        grads = observation.grads
        products, others = _products(grads, self._params, self._counted)
        if not all(map(math.isfinite, [*products.values(), others])):
            return
        for stream in grads:
            if stream not in self._moments:
                self._moments[stream] = GradientMoments(
                    self._params, samples=self.samples)
        self.samples += 1
        nothing: Gradients = [None] * len(self._params)
        for stream, moments in self._moments.items():
            moments.add(grads.get(stream, nothing))
        norms = {stream: math.sqrt(products[stream, stream])
                 for stream in grads}
        for stream, norm in norms.items():
            self._norms[stream] = self._norms.get(stream, 0.0) + norm
        for pair in combinations(grads, 2):
            scale = norms[pair[0]] * norms[pair[1]]
            if scale > 0:
                self._cosines.setdefault(pair, []).append(
                    products[pair] / scale)
        for stream, loss in observation.losses.items():
            self._losses.setdefault(stream, []).append(loss)

    def report(self, parts: Mapping[str, Sequence[int]],
               agreement: Agreement) -> Dict[str, float]:
        """Return what was gathered; all ranks are here.

        Args:
            parts: ``{name: indices of parameters}``.
            agreement: Over these updates.

        Returns:
            ``{name: number}``; see :class:`~mmdeepkd.engine.GSNRHook`.
        """
        streams, report = self.streams, {}
        for stream in streams:
            found = self._moments[stream].gsnr(
                {'': self._counted, **parts})
            report.update({
                f'gsnr/{stream}/{part}' if part else f'gsnr/{stream}': value
                for part, value in found.items()})
        norms = {stream: self._norms[stream] / self.samples
                 for stream in streams}
        report.update({f'grad_norm/{stream}': norm
                       for stream, norm in norms.items()})
        if norms.get('task', 0) > 0:
            report.update({f'grad_ratio/{stream}': norm / norms['task']
                           for stream, norm in norms.items()
                           if stream != 'task'})
        for first, second in combinations(streams, 2):
            values = self._cosines.get((first, second))
            if values:
                report[f'grad_cosine/{first}-{second}'] = (
                    sum(values) / len(values))
        report.update(self._means(agreement))
        return report

    def _means(self, agreement: Agreement) -> Dict[str, float]:
        """Return the means over samples and ranks, with one reduction."""
        device = self._params[0].device
        rows = [agreement.counts(device)]
        for stream in self._known:
            # On this rank there may be none.
            values = self._losses.get(stream, [])
            row = torch.zeros(2, dtype=torch.float64, device=device)
            if values:
                row[0] = torch.stack([v.double() for v in values]).sum()
            row[1] += len(values)
            rows.append(row)
        sums = torch.stack(rows)
        if world_size() > 1:
            dist.all_reduce(sums)
        names = ['agreement', *(f'stream_loss/{s}' for s in self._known)]
        means = {name: total / count
                 for name, (total, count) in zip(names, sums.tolist())
                 if count}
        # Last, as it is not of a stream.
        return dict(sorted(means.items(), key=lambda item: item[0] ==
                           'agreement'))


def _products(grads: Mapping[str, Gradients], params: Sequence[Tensor],
              counted: Sequence[int]) -> Tuple[Dict[_Pair, float], float]:
    """Return the scalar products of all pairs of streams, read at once.

    Args:
        grads: ``{stream: gradients}``.
        params: The parameters.
        counted: Indices of those that the products are over.

    Returns:
        ``{(stream, the same or a later one): product}``, and the sum of the
        squares of all other gradients.
    """
    pairs = list(combinations_with_replacement(grads, 2))
    zero = torch.zeros((), dtype=torch.float64, device=params[0].device)
    found: Dict[_Pair, List[Tensor]] = {pair: [zero] for pair in pairs}
    others, inside = [zero], set(counted)
    for i, row in enumerate(zip(*grads.values())):
        flat = {stream: _flat(grad) for stream, grad in zip(grads, row)
                if grad is not None}
        if i not in inside:
            others += [torch.dot(each, each).to(zero)
                       for each in flat.values()]
            continue
        for a, b in combinations_with_replacement(flat, 2):
            found[a, b].append(torch.dot(flat[a], flat[b]).to(zero))
    *sums, rest = torch.stack([
        torch.stack(terms).sum() for terms in [*found.values(), others]
    ]).tolist()
    return dict(zip(pairs, sums)), rest


def _flat(grad: Tensor) -> Tensor:
    return grad.detach().flatten().to(
        torch.promote_types(grad.dtype, torch.float32))
