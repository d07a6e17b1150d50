"""The average of gradient streams over ranks, while the backward goes on."""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from .gradients import Gradients, chunks, parameters, present, world_size
from .optimizers import DecoupledOptimizer


class _Bucket(NamedTuple):
    """Gradients on their way; ``flat`` must live until they are there."""

    stream: str
    members: List[int]
    flat: Tensor
    parts: List[Tensor]
    work: Any


class StreamReducer:
    """Averages the gradients of every stream over all ranks.

    What any rank had in the last update is what every rank expects in this
    one, and sends, with zeros where it lacks it. So a stream is sent as soon
    as its own gradients are complete, while the next stream's backward runs,
    and nobody has to be asked; a rank whose batch missed a head, or a whole
    stream, stays in step. When all is sent, the ranks count who had what:
    what nobody expected (in the first update, everything) is sent then, and
    a gradient that no rank had is ``None``, as with one process.

    Sent are distinct momenta x trainable parameters, in buckets, and one
    integer for each possible gradient, together with the finite check. A
    gradient's own memory is released when its bucket is filled. An update
    with other gradients than the last costs a second wait. An error on one
    rank ends the run, as under DistributedDataParallel.

    Args:
        optimizer: Its distinct momenta (``leaders()``) are the streams.
    """

    def __init__(self, optimizer: DecoupledOptimizer) -> None:
        self.optimizer = optimizer
        self._expected: Dict[str, List[int]] = {}
        self._flags: Tuple[Tuple[bool, ...], Optional[Tensor]] = ((), None)
        self.forget()

    def forget(self) -> None:
        """Begin a new update."""
        self._had: Dict[str, List[bool]] = {}
        self._buckets: List[_Bucket] = []
        self._unsent: Dict[str, Gradients] = {}
        self._reduced: Dict[str, Gradients] = {}

    def send(self,
             stream_grads: Dict[str, Gradients],
             last: Optional[str] = None) -> None:
        """Send, without waiting, the streams that are not yet sent.

        Args:
            stream_grads: ``{stream: gradients}`` of this rank. What is sent
                is taken out of its lists.
            last: In the order of the backwards the last stream that is
                complete; None means that all are.
        """
        params = parameters(self.optimizer)
        for stream in backward_order(self.optimizer):
            if stream not in self._had:
                grads = stream_grads.get(stream, [None] * len(params))
                self._had[stream] = [g is not None for g in grads]
                self._launch(stream, self._expected.get(stream, []), grads)
            if stream == last:
                return

    def collect(self, stream_grads: Dict[str,
                                         Gradients]) -> Dict[str, Gradients]:
        """Send the rest, and wait for what was expected.

        Args:
            stream_grads: As for :meth:`send`.

        Returns:
            ``{stream: gradients}``, equal on all ranks. They are final once
            :meth:`agree` says so.
        """
        self.send(stream_grads)
        self._unsent = stream_grads
        self._receive()
        return self._ordered()

    def flags(self) -> Tensor:
        """Return 0 or 1 for each possible gradient: whether this rank had it.

        Returns:
            (streams x parameters,) int64, to be summed over the ranks.
        """
        had = tuple(flag for stream in backward_order(self.optimizer)
                    for flag in self._had[stream])
        known, flags = self._flags
        # From the host to the device only when they have changed.
        if flags is None or had != known:
            device = parameters(self.optimizer)[0].device
            flags = torch.tensor(had, dtype=torch.int64, device=device)
            self._flags = (had, flags)
        return flags

    def agree(self, counts: Sequence[float]) -> Optional[Dict[str, Gradients]]:
        """Compare what was expected with what the ranks had.

        Args:
            counts: The sum of all ranks' :meth:`flags`.

        Returns:
            None if they agree, and the update is over. Else the final
            gradients, all reduced by now; the ranks agree on those.
        """
        size = len(parameters(self.optimizer))
        had = {}
        for k, stream in enumerate(backward_order(self.optimizer)):
            row = counts[k * size:(k + 1) * size]
            if any(row):
                had[stream] = [i for i, count in enumerate(row) if count]
        if had == self._expected:
            self.forget()
            return None
        for stream, members in had.items():
            known = set(self._expected.get(stream, []))
            self._launch(stream, [i for i in members if i not in known],
                         self._unsent.get(stream, [None] * size))
        self._receive()
        self._expected = had
        for stream, grads in list(self._reduced.items()):
            kept = set(had.get(stream, []))
            self._reduced[stream] = [
                g if i in kept else None for i, g in enumerate(grads)
            ]
            if not kept:
                del self._reduced[stream]
        return self._ordered()

    def _launch(self, stream: str, members: Sequence[int],
                grads: Gradients) -> None:
        params = parameters(self.optimizer)
        for chunk in chunks(members, params):
            flat, parts = _flat([params[i] for i in chunk])
            filled = [part for i, part in zip(chunk, parts)
                      if grads[i] is not None]
            if len(filled) < len(chunk):
                flat.zero_()
            if filled:
                torch._foreach_copy_(filled, present(grads, chunk))
            for i in chunk:
                grads[i] = None
            # Before the sum, which half precision might not hold.
            flat.div_(world_size())
            self._buckets.append(
                _Bucket(stream, chunk, flat, parts,
                        dist.all_reduce(flat, async_op=True)))

    def _receive(self) -> None:
        size = len(parameters(self.optimizer))
        for bucket in self._buckets:
            bucket.work.wait()
            grads = self._reduced.setdefault(bucket.stream, [None] * size)
            for i, part in zip(bucket.members, bucket.parts):
                grads[i] = part
        self._buckets = []

    def _ordered(self) -> Dict[str, Gradients]:
        return in_stream_order(self.optimizer, self._reduced)


def backward_order(optimizer: DecoupledOptimizer) -> List[str]:
    """Return the leaders in the order of their backwards.

    It is the same on all ranks, whose collectives must match. The first of
    the offsets, task, comes last: it reaches what the others do not (the
    region proposals and boxes of a detector), and only the last backward
    frees what it reaches. Being the longest, it also hides the most. What
    only an earlier stream reaches lives as long as its loss.

    Args:
        optimizer: Knows which streams share a momentum.
    """
    return list(dict.fromkeys(optimizer.leaders().values()))[::-1]


def in_stream_order(
        optimizer: DecoupledOptimizer,
        stream_grads: Dict[str, Gradients]) -> Dict[str, Gradients]:
    """Return the streams in the order of the offsets, which sums depend on.

    Args:
        optimizer: Knows the offsets.
        stream_grads: ``{leader: gradients}``.
    """
    return {
        leader: stream_grads[leader]
        for leader in dict.fromkeys(optimizer.leaders().values())
        if leader in stream_grads
    }


def _flat(params: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
    """Return an empty flat tensor, and its parts as gradients of parameters.

    A part has the parameter's memory format: with another one torch would
    update parameters in ``channels_last`` one by one.
    """
    sizes = [p.numel() for p in params]
    flat = params[0].detach().new_empty(sum(sizes))
    parts = [
        part.as_strided(p.shape, torch.empty_like(p, device='meta').stride(),
                        part.storage_offset())
        for part, p in zip(flat.split_with_sizes(sizes), params)
    ]
    return flat, parts
