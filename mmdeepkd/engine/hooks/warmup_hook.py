"""Linear warm-up of the distillation losses."""
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdeepkd.registry import HOOKS

from .distiller_access import get_distiller


@HOOKS.register_module()
class WarmupHook(Hook):
    """Scale the distillation losses by min((epoch + 1) / epochs, 1).

    DKD's warm-up (released code): the first of E epochs, counted from 0, uses
    1 / E; the task loss is never scaled. The value is a function of the epoch
    alone, so a resumed run needs no replay.

    Args:
        epochs: Epochs until the full weight, >= 1.

    Raises:
        ValueError: epochs is below 1, or the train loop has no epochs.
        TypeError: The model is no distiller.
    """

    priority = 'NORMAL'

    def __init__(self, epochs: int) -> None:
        if epochs < 1:
            raise ValueError(f'WarmupHook needs epochs >= 1, got {epochs}: '
                             'remove the hook to train without warm-up.')
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        """Check that there are losses to scale and epochs to count."""
        get_distiller(runner, 'WarmupHook')
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError('WarmupHook counts epochs and needs an '
                             'epoch-based train loop.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the factor from the epoch."""
        factor = min((runner.epoch + 1) / self.epochs, 1.0)
        for loss in get_distiller(runner, 'WarmupHook').losses:
            loss.warmup_factor = factor
