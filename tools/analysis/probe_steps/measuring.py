"""The gradients of every stream at one point of the parameters."""
import math
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple

from torch import nn

from mmdeepkd.engine import DecoupledSGD
from mmdeepkd.engine.adapters import student_indices
from mmdeepkd.engine.agreement import Agreement
from mmdeepkd.engine.gradients import (
    Gradients,
    parameters,
    stream_gradients,
)
from mmdeepkd.engine.observation import Observation
from mmdeepkd.engine.stream_burst import StreamBurst

# From so many samples on a single estimate has a finite variance.
_LEAST = 6


class Estimate(NamedTuple):
    """A mean over blocks of batches, and its standard error.

    Attributes:
        value: The mean.
        error: The standard error; NaN where there is one block.
    """

    value: float
    error: float


class Measured:
    """What is known of the streams.

    Args:
        batches: How many were measured.
        reports: Of each block, named as ``mmdeepkd.GSNRHook`` does.
    """

    def __init__(self, batches: int, reports: List[Dict[str, float]]) -> None:
        self.batches = batches
        self.reports = reports

    def of(self, kind: str) -> Dict[str, Estimate]:
        """Return all estimates of a kind.

        Args:
            kind: ``'gsnr'``, ``'grad_norm'``, ``'grad_cosine'``, ...

        Returns:
            ``{stream, or pair of streams: estimate}``.
        """
        names = dict.fromkeys(name for report in self.reports
                              for name in report
                              if name.startswith(f'{kind}/'))
        return {
            name[len(kind) + 1:]: _estimate([
                report[name] for report in self.reports if name in report])
            for name in names
        }


class StreamMeter:
    """Measures the streams where an optimizer wrapper would train on them.

    To be given to ``train_step`` of a distiller, whose forward is then that
    of training; no parameter moves. A sample is the gradient of one batch.
    The blocks of batches are windows as those of ``mmdeepkd.GSNRHook``, one
    after the other; all numbers are of the student's parameters.

    Args:
        model: A distiller.
        block: Batches in a block, at least 6.
    """

    def __init__(self, model: nn.Module, block: int) -> None:
        self.block = block
        self._model = model
        streams = ['task', *(s for loss in model.losses for s in loss.streams)]
        # It only says which parameters and streams there are.
        self._optimizer = DecoupledSGD(
            [p for p in model.parameters() if p.requires_grad], lr=0.0,
            momentum=0.0, offsets=dict.fromkeys(streams, 0.0), merge=False)
        # What adapters learn has no part in what is suggested.
        self._counted = student_indices(model, parameters(self._optimizer))
        self._reports: List[Dict[str, float]] = []
        self._batches = 0
        self._begin()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Prepare nothing for a forward.

        Args:
            model: The model.
        """
        yield

    def update_params(self, loss: Any) -> None:
        """Measure the streams of a batch instead of training on them.

        Args:
            loss: The total of a distiller, with its ``streams``.

        Raises:
            FloatingPointError: A gradient was not finite.
        """
        self._whole = False
        grads: Dict[str, Gradients] = {}
        for name, value in loss.streams.items():
            grads[name] = stream_gradients(
                value, parameters(self._optimizer),
                retain_graph=len(grads) + 1 < len(loss.streams))
        self._burst.add(Observation(grads, {
            name: value.detach() for name, value in loss.streams.items()}))
        self._open += 1
        if self._burst.samples < self._open:
            raise FloatingPointError(
                'the gradient of a stream is inf or NaN: probe weights with '
                'which the training runs (--checkpoint FILE).')
        self._whole = True
        if self._open == self.block:
            self._close()

    def measured(self) -> Measured:
        """Return what is known; a first block counts from 6 batches on.

        Raises:
            ValueError: Too few batches were measured.
        """
        # Ctrl-C may have come in the middle of a batch.
        if not self._reports and self._open >= _LEAST and self._whole:
            self._close()
        if not self._reports:
            raise ValueError(f'{self._open} batches tell nothing: a variance '
                             f'takes at least {_LEAST}.')
        return Measured(self._batches, self._reports)

    def _begin(self) -> None:
        """Begin a block."""
        self._burst = StreamBurst(self._optimizer, self._counted)
        self._agreement = Agreement(self._model)
        self._open = 0
        self._whole = True

    def _close(self) -> None:
        """End a block."""
        self._reports.append(self._burst.report({}, self._agreement))
        self._batches += self._open
        self._agreement.close()
        self._begin()


def _estimate(values: List[float]) -> Estimate:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, math.nan)
    variance = sum((v - mean)**2 for v in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance / len(values)))
