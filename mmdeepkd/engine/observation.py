"""What an update looks like stream by stream, for an observer."""
from typing import (
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
)

import torch
import torch.distributed as dist
from torch import Tensor

from .gradients import (
    Gradients,
    chunks,
    multiplied,
    parameters,
    present,
    stream_gradients,
    world_size,
)
from .held_gradients import accumulate
from .optimizers import DecoupledOptimizer


class Observation(NamedTuple):
    """One update, stream by stream; streams without a loss are not there.

    Attributes:
        grads: ``{stream: gradients}``, one tensor or None per parameter in
            the order of the optimizer: those of the whole update (all
            iterations of an accumulation, averaged over the ranks), unscaled,
            before they are clipped. To be read during the call only, and not
            to be changed.
        losses: ``{stream: 0-d tensor}``, averaged over the iterations of the
            update, of this rank; weights and warm-up are in them. On another
            rank a stream may be missing.
    """

    grads: Dict[str, Gradients]
    losses: Dict[str, Tensor]


Observer = Callable[[Observation], None]


class StreamObservation:
    """Takes streams that share a momentum apart, while somebody looks.

    Such streams have one backward, over the sum of their losses. For an
    observer all but the first of them, whose buffer they share, are
    differentiated once more on their own; the first is the rest. What trains
    is untouched, to the bit.

    Args:
        optimizer: Knows which streams share a momentum.
    """

    def __init__(self, optimizer: DecoupledOptimizer) -> None:
        self.optimizer = optimizer
        #: Who is shown the updates that begin from now on.
        self.observer: Optional[Observer] = None
        self.forget()

    def forget(self) -> None:
        """End an update."""
        self._begun = False
        self._current: Optional[Observer] = None
        self._apart: Dict[str, Gradients] = {}
        self._owned: Dict[str, Set[int]] = {}
        self._losses: Dict[str, Tensor] = {}

    def add(self, losses: Mapping[str, Tensor],
            scale: Callable[[Tensor], Tensor]) -> None:
        """Take the gradients of an iteration that its backwards will merge.

        Args:
            losses: ``{stream: scalar}``; the graph is kept.
            scale: Scales a loss before its backward.
        """
        if not self._begun:
            self._begun, self._current = True, self.observer
        if self._current is None:
            return
        leaders = self.optimizer.leaders()
        for stream, loss in losses.items():
            value = loss.detach()
            self._losses[stream] = self._losses.get(stream, 0) + value
            if leaders[stream] == stream:
                continue
            grads = stream_gradients(scale(loss), parameters(self.optimizer),
                                     retain_graph=True)
            if stream in self._apart:
                accumulate(self._apart[stream], grads,
                           self._owned.setdefault(stream, set()))
            else:
                self._apart[stream] = grads

    def show(self, merged: Mapping[str, Gradients],
             factor: Optional[Tensor] = None) -> None:
        """Show an update to its observer, if it has one.

        All ranks are here, or none.

        Args:
            merged: ``{leader: gradients}``, averaged over the ranks; not
                changed.
            factor: What unscales gradients, 0-d; None: they are not scaled.
        """
        observer, losses = self._current, self._losses
        if observer is None:
            return
        leaders = self.optimizer.leaders()
        names = self._on_any_rank()
        nothing: Gradients = [None] * len(parameters(self.optimizer))
        grads = {stream: self._averaged(stream) for stream in names
                 if leaders[stream] != stream}
        for stream in names:
            if leaders[stream] == stream:
                grads[stream] = _without(
                    # Not there if no rank's loss reaches a parameter.
                    merged.get(stream, nothing),
                    [values for other, values in grads.items()
                     if leaders[other] == stream])
        self.forget()
        if factor is not None:
            # Lists of its own: those that train are not to change.
            grads = {stream: multiplied(list(values), factor)
                     for stream, values in grads.items()}
        observer(Observation({name: grads[name] for name in names}, losses))

    def _on_any_rank(self) -> List[str]:
        """Return the streams that a loss was given for, on all ranks alike."""
        known = list(self.optimizer.leaders())
        if world_size() == 1:
            return [name for name in known if name in self._losses]
        had = torch.tensor([int(name in self._losses) for name in known],
                           device=parameters(self.optimizer)[0].device)
        dist.all_reduce(had)
        return [name for name, count in zip(known, had.tolist()) if count]

    def _averaged(self, stream: str) -> Gradients:
        """Return the gradients of a stream, averaged over the ranks."""
        params = parameters(self.optimizer)
        grads = self._apart.get(stream, [None] * len(params))
        if world_size() == 1:
            return grads
        average: Gradients = [None] * len(params)
        wanted = [i for i, p in enumerate(params) if p.requires_grad]
        for chunk in chunks(wanted, params):
            flat = _joined(grads, chunk, params)
            # Before the sum, which half precision might not hold.
            dist.all_reduce(flat.div_(world_size()))
            parts = torch.split(flat, [params[i].numel() for i in chunk])
            for i, part in zip(chunk, parts):
                average[i] = part.view(params[i].shape)
        return average


def _without(total: Gradients, others: Sequence[Gradients]) -> Gradients:
    """Return a sum of gradients less some of its terms.

    Args:
        total: One tensor, or None, per parameter.
        others: Likewise, each.
    """
    rest = list(total)
    for grads in others:
        both = [i for i, (a, b) in enumerate(zip(rest, grads))
                if a is not None and b is not None]
        for i, value in zip(both, torch._foreach_sub(
                present(rest, both), present(grads, both)) if both else ()):
            rest[i] = value
    return rest


def _joined(grads: Gradients, chunk: Sequence[int],
            params: Sequence[Tensor]) -> Tensor:
    """Return gradients as one tensor, zeros for those that are missing."""
    pieces = []
    for i in chunk:
        grad = grads[i]
        pieces.append((torch.zeros_like(params[i]) if grad is None
                       else grad).flatten())
    return torch.cat(pieces)
