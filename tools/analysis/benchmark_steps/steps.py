"""Training steps, with the seams at which they are timed."""
from typing import Callable, Dict, List

import torch
from torch import Tensor
from torch.optim import SGD

from .baselines import ReleasedLoop, backward_by_stream, released_momentum
from .timing import Laps, no_lap

Lap = Callable[[str], None]
# Returns the loss of every stream of a new forward.
Forward = Callable[[Lap], Dict[str, Tensor]]

MOMENTUM = 0.9


class Step:
    """A step that can be timed as a whole or part by part.

    Attributes:
        optimizer: Whose buffers are counted.
    """

    optimizer: torch.optim.Optimizer

    def __call__(self) -> None:
        """Train for one step."""
        self.parts(no_lap)

    def parts(self, lap: Lap) -> None:
        """Train for one step; call ``lap`` at the end of every part."""
        raise NotImplementedError

    def losses(self) -> Dict[str, float]:
        """Return the streams' losses of a forward, for comparison."""
        raise NotImplementedError


class OneBackward(Step):
    """The streams' sum, one ``backward``, torch's SGD.

    Args:
        forward: Returns the losses.
        params: Parameters of the student.
        lr: Learning rate.
        weight_decay: L2 factor.
    """

    def __init__(self, forward: Forward, params: List[Tensor], lr: float,
                 weight_decay: float) -> None:
        self.forward = forward
        self.optimizer = SGD(params, lr, MOMENTUM, weight_decay=weight_decay)

    def parts(self, lap: Lap) -> None:
        total = sum(self.forward(lap).values())
        total.backward()
        lap('backward')
        self.optimizer.step()
        self.optimizer.zero_grad()
        lap('optimizer')

    def losses(self) -> Dict[str, float]:
        return floats(self.forward(no_lap))


class ThreeBackwards(Step):
    """A ``backward`` per stream, gradients copied, the released loop.

    Args:
        forward: Returns the losses.
        params: Parameters of the student.
        lr: Learning rate.
        weight_decay: L2 factor.
        delta: Momentum difference.
    """

    def __init__(self, forward: Forward, params: List[Tensor], lr: float,
                 weight_decay: float, delta: float) -> None:
        self.forward = forward
        self.params = params
        self.optimizer = ReleasedLoop(
            params, lr, released_momentum(MOMENTUM, delta), weight_decay)

    def parts(self, lap: Lap) -> None:
        streams = self.forward(lap)
        grads = backward_by_stream(streams, self.params, lap)
        self.optimizer.step(grads)
        for param in self.params:
            param.grad = None
        lap('optimizer')

    def losses(self) -> Dict[str, float]:
        return floats(self.forward(no_lap))


def median_parts(step: Step, rounds: int,
                 device: str) -> Dict[str, float]:
    """Return the median time of every part of a step, in seconds."""
    laps = Laps(device)
    for _ in range(rounds):
        laps.start()
        step.parts(laps)
    return laps.medians()


def floats(streams: Dict[str, Tensor]) -> Dict[str, float]:
    """Return losses as numbers."""
    return {name: float(loss.detach()) for name, loss in streams.items()}
