"""The package's own step, whole and in parts."""
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

import torch
from torch import Tensor, nn
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper
from mmdeepkd.engine.gradients import stream_gradients

from .steps import MOMENTUM, Lap, Step, floats
from .timing import Laps, no_lap


class Ours(Step):
    """The package's own step: ``train_step`` of a distiller.

    Args:
        distiller: In training mode.
        batch: Returns a batch as a dataloader gives it.
        lr: Learning rate.
        weight_decay: L2 factor.
        delta: Momentum difference.
        offsets: Of each stream, instead of delta.
        merge: Streams of equal momentum share one backward.
    """

    def __init__(self, distiller: nn.Module, batch: Callable[[], Any],
                 lr: float, weight_decay: float,
                 delta: Optional[float] = None,
                 offsets: Optional[Dict[str, float]] = None,
                 merge: bool = True) -> None:
        self.distiller = distiller
        self.batch = batch
        params = [p for p in distiller.parameters() if p.requires_grad]
        self.wrapper = DeepKDOptimWrapper(
            SGD(params, lr, MOMENTUM, weight_decay=weight_decay), delta=delta,
            offsets=offsets, merge=merge)
        self.optimizer = self.wrapper.optimizer
        self.params = params

    def __call__(self) -> None:
        """Train for one step, the way MMEngine's runner does."""
        self.distiller.train_step(self.batch(), self.wrapper)

    def forward(self) -> Dict[str, Tensor]:
        """Return the losses of the streams."""
        data = self.distiller.data_preprocessor(self.batch(), training=True)
        losses = self.distiller(**data, mode='loss')
        return self.distiller.parse_losses(losses)[0].streams

    def parts(self, lap: Lap) -> None:
        """Do what ``train_step`` does, one part after the other.

        The check that all is finite is left out: it is in the whole step.
        """
        with self._forward_parts(lap):
            streams = self.forward()
        grads = {}
        losses = self.by_leader(streams)
        for i, (leader, loss) in enumerate(losses.items()):
            grads[leader] = stream_gradients(
                loss, self.params, retain_graph=i + 1 < len(losses))
            lap('backward: ' + self._named(leader, streams))
        self.optimizer.step(stream_grads=grads)
        lap('optimizer')

    def by_leader(self, streams: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Sum the losses that share a momentum, by name of their buffer."""
        leaders = self.optimizer.leaders()
        merged: Dict[str, Tensor] = {}
        for stream, loss in streams.items():
            name = leaders[stream]
            merged[name] = merged[name] + loss if name in merged else loss
        return merged

    def losses(self) -> Dict[str, float]:
        """Return the losses by the formula of the release, to compare."""
        for loss in self.distiller.losses:
            loss.semantics = 'released'
        streams = floats(self.forward())
        for loss in self.distiller.losses:
            loss.semantics = 'paper'
        return streams

    def _named(self, leader: str, streams: Dict[str, Tensor]) -> str:
        leaders = self.optimizer.leaders()
        return ' + '.join(s for s in streams if leaders[s] == leader)

    @contextmanager
    def _forward_parts(self, lap: Lap) -> Iterator[None]:
        """Split the forward: teacher and losses are timed by hooks."""
        if not isinstance(lap, Laps):
            yield
            return
        losses: Dict[bool, List[nn.Module]] = {False: [], True: []}
        for loss in self.distiller.losses:
            losses[getattr(loss, 'needs_adapter', False)].append(loss)
        with timed_modules(lap, {
                'teacher forward': network_parts(self.distiller.teacher),
                'distillation losses': losses[False],
                'DiffKD, forward': losses[True]
        }) as inner:
            start = lap.now()
            yield
            total = lap.now() - start
        lap.add('student forward, its losses', total - sum(inner.values()))
        for name, seconds in inner.items():
            if seconds:
                lap.add(name, seconds)
        lap.start()


class Batched(Ours):
    """Ours with the streams' backwards as one batched product.

    Tried for the benchmark, and no option of the package.
    """

    def __call__(self) -> None:
        """Train for one step."""
        self.parts(no_lap)

    def parts(self, lap: Lap) -> None:
        """Train for one step; its forward is one part."""
        losses = self.by_leader(self.forward())
        lap('all forwards, losses')
        total = torch.stack(list(losses.values()))
        found = torch.autograd.grad(
            total, self.params,
            torch.eye(len(losses), device=total.device),
            is_grads_batched=True, allow_unused=True)
        lap('backward: both')
        self.optimizer.step(stream_grads={
            leader: [None if g is None else g[i] for g in found]
            for i, leader in enumerate(losses)
        })
        lap('optimizer')


def network_parts(model: nn.Module) -> List[nn.Module]:
    """Return the modules that a frozen network's forward calls."""
    head = getattr(model, 'roi_head', None)
    if head is None:
        return [model]
    return [model.backbone, model.neck, head.bbox_roi_extractor,
            head.bbox_head]


@contextmanager
def timed_modules(lap: Laps, parts: Dict[str, List[nn.Module]]
                  ) -> Iterator[Dict[str, float]]:
    """Time the calls of modules; the sums are complete at the end."""
    seconds = dict.fromkeys(parts, 0.0)
    begun: List[float] = []
    handles = []

    def begin(module: nn.Module, args: Any) -> None:
        begun.append(lap.now())

    for name, modules in parts.items():

        def end(module: nn.Module, args: Any, output: Any,
                name: str = name) -> None:
            seconds[name] += lap.now() - begun.pop()

        for module in modules:
            handles += [module.register_forward_pre_hook(begin),
                        module.register_forward_hook(end)]
    try:
        yield seconds
    finally:
        for handle in handles:
            handle.remove()
