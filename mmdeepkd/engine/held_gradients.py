"""The gradients of the update under way, over iterations and ranks."""
from typing import Dict, List, Sequence, Set, Tuple

import torch
from torch import Tensor

from .finite import measure
from .gradients import (
    Gradients,
    chunks,
    parameters,
    present,
    world_size,
)
from .optimizers import DecoupledOptimizer
from .reduction import StreamReducer, in_stream_order


class HeldGradients:
    """One set of gradients per distinct momentum, until the step.

    No stream can be folded into its momentum before the last one is known to
    be finite, on all ranks. So these sets are what an update needs beside its
    graph; what can be released is: an iteration's gradients once they are
    added to the sum, and a rank's own once they are on their way.

    Args:
        optimizer: Its distinct momenta (``leaders()``) are the streams.
    """

    def __init__(self, optimizer: DecoupledOptimizer) -> None:
        self.optimizer = optimizer
        self.streams: Dict[str, Gradients] = {}
        self._owned: Dict[str, Set[int]] = {}
        self._reducer = StreamReducer(optimizer)

    def add(self, stream: str, grads: Gradients) -> None:
        """Add the gradients of an iteration.

        Args:
            stream: Whose momentum they have.
            grads: One tensor, or None, per parameter; taken over.
        """
        if stream in self.streams:
            accumulate(self.streams[stream], grads,
                       self._owned.setdefault(stream, set()))
        else:
            self.streams[stream] = grads

    def send(self, last: str) -> None:
        """Send a stream to the other ranks, without waiting for them.

        Args:
            last: It and those before it, in the order of the backwards, are
                complete.
        """
        if world_size() > 1:
            self._reducer.send(self.streams, last)

    def collect(self) -> Dict[str, Gradients]:
        """Return the average over the ranks, ``{stream: gradients}``."""
        if world_size() > 1:
            self.streams = self._reducer.collect(self.streams)
        else:
            self.streams = in_stream_order(self.optimizer, self.streams)
        return self.streams

    def measure(self, losses: Sequence[Tensor],
                sizes: Sequence[Tensor]) -> Tuple[bool, List[float], bool]:
        """Read many numbers with one synchronisation of host and device.

        Args:
            losses: Scalars of this rank.
            sizes: Scalars that are equal on all ranks, such as norms.

        Returns:
            Whether the losses of all ranks are finite, the sizes, and whether
            what was collected is final. If it is not, it has been made final:
            begin again with :attr:`streams`.
        """
        device = parameters(self.optimizer)[0].device
        if world_size() == 1:
            return (*measure(losses, sizes, device), True)
        finite, numbers = measure(losses, sizes, device,
                                  self._reducer.flags())
        final = self._reducer.agree(numbers[len(sizes):])
        if final is not None:
            self.streams = final
        return finite, numbers[:len(sizes)], final is None

    def forget(self) -> None:
        """Begin a new update."""
        self.streams = {}
        self._owned = {}
        self._reducer.forget()


def accumulate(held: Gradients, grads: Gradients, owned: Set[int]) -> None:
    """Add the gradients of one more iteration to those held.

    The first gradients are held as autograd gave them: one tensor may be
    there for two parameters, be an expanded one, or belong to somebody else,
    so nothing is added into it. A sum is a tensor of our own, and from the
    third iteration on nothing is allocated. Beyond the two lists the memory
    of one chunk is needed.

    Args:
        held: One tensor, or None, per parameter; changed in place.
        grads: Likewise; emptied.
        owned: Which of the held tensors are sums; changed in place.
    """
    both = [i for i, (a, b) in enumerate(zip(held, grads))
            if a is not None and b is not None]
    mine = [i for i in both if i in owned]
    if mine:
        torch._foreach_add_(present(held, mine), present(grads, mine))
    others = [i for i in both if i not in owned]
    for chunk in chunks(others, grads):
        sums = torch._foreach_add(present(held, chunk), present(grads, chunk))
        for i, value in zip(chunk, sums):
            held[i], grads[i] = value, None
    owned.update(others)
    for i, grad in enumerate(grads):
        if held[i] is None:
            held[i] = grad
            owned.discard(i)
        grads[i] = None
