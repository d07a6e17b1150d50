"""Linear warm-up of the distillation losses."""
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdeepkd.registry import HOOKS

from .distiller_access import get_distiller


@HOOKS.register_module()
class WarmupHook(Hook):
    """Scale the distillation losses by a factor that rises to 1.

    With ``epochs`` it is min((epoch + 1) / epochs, 1), DKD's warm-up
    (released code): the first of E epochs, counted from 0, uses 1 / E. With
    ``iters`` it is min(iter / iters, 1), that of GDKDS: the first iteration,
    counted from 0, uses 0. The task loss is never scaled, and of a feature
    loss only what reaches the student: its adapters train from the start. The
    value is a function of the progress alone, so a resumed run needs no
    replay.

    Args:
        epochs: Epochs until the full weight, >= 1.
        iters: Iterations until the full weight, >= 1, instead of epochs; for
            any train loop.

    Raises:
        ValueError: Not exactly one of the two is given, it is below 1, or
            ``epochs`` meets a train loop without epochs.
        TypeError: The model is no distiller.
    """

    priority = 'NORMAL'

    def __init__(self,
                 epochs: Optional[int] = None,
                 iters: Optional[int] = None) -> None:
        if (epochs is None) == (iters is None):
            raise ValueError(
                'WarmupHook needs exactly one of epochs and iters, got '
                f'epochs={epochs} and iters={iters}.')
        for name, value in (('epochs', epochs), ('iters', iters)):
            if value is not None and value < 1:
                raise ValueError(
                    f'WarmupHook needs {name} >= 1, got {value}: remove the '
                    'hook to train without warm-up.')
        self.epochs = epochs
        self.iters = iters

    def summary_row(self, runner: Runner) -> str:
        """Return the warm-up, in numbers.

        Args:
            runner: The runner.
        """
        progress = (f'(epoch + 1) / {self.epochs}' if self.iters is None else
                    f'iteration / {self.iters}')
        return f'distillation losses x min({progress}, 1), counted from 0'

    def before_train(self, runner: Runner) -> None:
        """Check that there are losses to scale and epochs to count."""
        get_distiller(runner, 'WarmupHook')
        if self.epochs is not None and not isinstance(runner.train_loop,
                                                      EpochBasedTrainLoop):
            raise ValueError(
                'WarmupHook(epochs=...) counts epochs and needs an '
                'epoch-based train loop: set iters instead.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the factor from the epoch."""
        if self.epochs is not None:
            _set(runner, (runner.epoch + 1) / self.epochs)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Set the factor from the iteration."""
        if self.iters is not None:
            _set(runner, runner.iter / self.iters)


def _set(runner: Runner, progress: float) -> None:
    for loss in get_distiller(runner, 'WarmupHook').losses:
        loss.warmup_factor = min(progress, 1.0)
