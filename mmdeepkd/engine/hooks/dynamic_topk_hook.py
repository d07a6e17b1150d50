"""Schedule of the number of non-target classes that distil."""
from typing import Any, Optional, Sequence

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdeepkd.functional import dynamic_topk
from mmdeepkd.functional.topk import check_count
from mmdeepkd.registry import HOOKS

from .distiller_access import get_distiller

# The papers give no value for the static K; ours, as a share of the
# non-target classes.
_STATIC_SHARE = 0.4


@HOOKS.register_module()
class DynamicTopKHook(Hook):
    """Set K of every loss that has ``topk`` (DeepKD's dynamic top-K mask).

    K grows from ``initial_ratio`` of the classes to ``static_k``, stays,
    then grows to all non-target classes; see
    :func:`mmdeepkd.functional.dynamic_topk`. The value is a function of the
    progress alone, set anew each time, so a resumed run needs no replay.

    Args:
        static_k: K of the middle phase, from 1 to the number of non-target
            classes. None: 40 % of them, rounded half up (our choice: the
            papers publish no value).
        initial_ratio: Share of the classes to begin with, in (0, 1].
        phases: Progress at which the middle phase begins and ends.
        by_epoch: Set K each epoch, else each iteration.

    Raises:
        ValueError: An argument is out of range, or no loss has ``topk``.
    """

    priority = 'NORMAL'

    def __init__(self,
                 static_k: Optional[int] = None,
                 initial_ratio: float = 0.05,
                 phases: Sequence[float] = (0.3, 0.7),
                 by_epoch: bool = True) -> None:
        if static_k is not None:
            check_count(static_k, 'static_k')
        if len(phases) != 2:
            raise ValueError(
                'DynamicTopKHook needs two phases, the progress at which the '
                f'middle phase begins and ends, got {phases}.')
        self.static_k = static_k
        self.initial_ratio = initial_ratio
        self.phases = (phases[0], phases[1])
        self.by_epoch = by_epoch
        # Fails here, not at the first epoch, when a ratio is out of range.
        dynamic_topk(0.0, 2, 1, initial_ratio, self.phases)

    def before_train(self, runner: Runner) -> None:
        """Check that there is a K to set, and that it can be reached."""
        distiller = get_distiller(runner, 'DynamicTopKHook')
        if not any(hasattr(loss, 'topk') for loss in distiller.losses):
            names = [type(loss).__name__ for loss in distiller.losses]
            raise ValueError(
                f'DynamicTopKHook sets topk, which none of {names} has: use '
                'DeepKDLoss, or remove the hook.')
        non_target = distiller.num_logits - 1
        if self.static_k is not None and self.static_k > non_target:
            raise ValueError(
                f'DynamicTopKHook has static_k={self.static_k}, the model '
                f'{non_target} non-target classes: choose static_k from 1 to '
                f'{non_target}.')
        if self.by_epoch and not isinstance(runner.train_loop,
                                            EpochBasedTrainLoop):
            raise ValueError(
                'DynamicTopKHook(by_epoch=True) needs an epoch-based train '
                'loop: set by_epoch=False to schedule K by iteration.')
        origin = 'given' if self.static_k is not None else (
            'our default, 40 % of them; the papers publish no value')
        runner.logger.info(
            f'Dynamic top-K: static K {self._static(distiller)} of '
            f'{non_target} non-target classes ({origin}).')
        if self._first(distiller) == 1 < non_target:
            runner.logger.warning(
                f'Dynamic top-K begins with K = 1 of {non_target} non-target '
                'classes, and in one class there is nothing to distil: the '
                'non-target part is 0 until K grows; with so few classes set '
                f'static_k={non_target} and initial_ratio=0.5 of '
                'DynamicTopKHook.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Set K from the epoch."""
        if self.by_epoch:
            self._set(runner, runner.epoch, runner.max_epochs)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Set K from the iteration."""
        if not self.by_epoch:
            self._set(runner, runner.iter, runner.max_iters)

    def summary_row(self, runner: Runner) -> str:
        """Return the schedule of this run, in numbers.

        Args:
            runner: The runner.
        """
        distiller = get_distiller(runner, 'DynamicTopKHook')
        static, non_target = (self._static(distiller),
                              distiller.num_logits - 1)
        first = self._first(distiller)
        begin, end = (f'{100 * phase:g} %' for phase in self.phases)
        steps = 'epochs' if self.by_epoch else 'iterations'
        origin = '' if self.static_k is not None else ' (our default)'
        return (f'K from {first} to {static}{origin} at {begin} of the '
                f'{steps}, {static} until {end}, then up to all {non_target} '
                'non-target classes')

    def _static(self, distiller: Any) -> int:
        if self.static_k is not None:
            return self.static_k
        return max(1, int(_STATIC_SHARE * (distiller.num_logits - 1) + 0.5))

    def _first(self, distiller: Any) -> int:
        return dynamic_topk(0.0, distiller.num_logits, self._static(distiller),
                            self.initial_ratio, self.phases)

    def _set(self, runner: Runner, step: int, steps: int) -> None:
        distiller = get_distiller(runner, 'DynamicTopKHook')
        progress = min(step / (steps - 1), 1.0) if steps > 1 else 1.0
        topk = dynamic_topk(progress, distiller.num_logits,
                            self._static(distiller), self.initial_ratio,
                            self.phases)
        for loss in distiller.losses:
            if hasattr(loss, 'topk'):
                loss.topk = topk
        runner.message_hub.update_scalar('train/topk', topk)
