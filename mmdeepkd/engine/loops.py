"""The train loop of runs by iteration that resume exactly."""
from typing import Any, Callable, Dict, Iterator

from mmengine.runner import IterBasedTrainLoop
from torch import nn

from mmdeepkd.registry import LOOPS


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """MMEngine's loop by iteration; tells when the old data are skipped.

    A resumed run first draws all batches it has already trained on, and with
    them the random numbers of their augmentation. MMEngine calls no hook
    between the last of these and the first new one; this loop calls
    ``after_skipped_data``, where
    :class:`~mmdeepkd.engine.RandomStateHook` puts the generators back.
    ``DistillRunner`` takes it wherever the config asks for MMEngine's.
    """

    # Set by MMEngine's loop, which declares no types.
    dataloader_iterator: Iterator[Any]

    def run(self) -> nn.Module:
        """Train; return the model."""
        self.dataloader_iterator = _Announcing(
            self.dataloader_iterator, self._iter,
            lambda: self.runner.call_hook('after_skipped_data'))
        return super().run()


class _Announcing:
    """Call a function after so many batches, before the next is drawn."""

    def __init__(self, batches: Iterator[Any], skip: int,
                 announce: Callable[[], None]) -> None:
        self._batches = batches
        self._left = skip
        self._announce = announce

    def __iter__(self) -> '_Announcing':
        return self

    def __next__(self) -> Any:
        if self._left == 0:
            self._announce()
        self._left -= 1
        return next(self._batches)


def resumable(loop: Dict[str, Any]) -> Dict[str, Any]:
    """Replace MMEngine's loop by iteration in a config by ours.

    Args:
        loop: ``train_cfg``.

    Returns:
        The same, or a changed copy.
    """
    kind = loop.get('type')
    if isinstance(kind, str):
        kind = LOOPS.get(kind)
    if kind is IterBasedTrainLoop or loop.get('by_epoch') is False:
        loop = {k: v for k, v in loop.items() if k != 'by_epoch'}
        loop['type'] = ResumableIterLoop
    return loop
