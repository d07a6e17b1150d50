"""Schedule of the number of non-target classes that distil."""
from typing import Any, Optional, Sequence, Union

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdeepkd.functional import dynamic_topk
from mmdeepkd.registry import HOOKS

from ..auto_topk import choose_topk
from ..topk_choice import Choice, remarks, restored, stored
from ..topk_settings import (
    AUTO,
    SAMPLE_SIZE,
    SHARE,
    Wish,
    check_phases,
    check_sample,
    check_static_k,
)
from .distiller_access import get_distiller

# The papers give no value for the static K; ours, as a share of the
# non-target classes.
_STATIC_SHARE = 0.4
# Where a checkpoint has what was chosen.
_KEY = 'dynamic_topk'


@HOOKS.register_module()
class DynamicTopKHook(Hook):
    """Set K of every loss that has ``topk`` (DeepKD's dynamic top-K mask).

    K grows from ``initial_ratio`` of the classes to ``static_k``, stays,
    then grows to all non-target classes; see
    :func:`mmdeepkd.functional.dynamic_topk`. The value is a function of the
    progress alone, set anew each time, so a resumed run needs no replay.

    What is ``'auto'`` is proposed (beyond the paper) when training starts,
    from the teacher's logits on a sample of the training data: the K that
    holds ``share`` of the teacher's non-target mass, averaged over samples,
    and phases that each last the share of that mass that is theirs; with
    ``static_k='auto'`` the last one so begins at about ``share``. See
    :mod:`mmdeepkd.functional.auto_topk` for both, and
    :func:`mmdeepkd.engine.auto_topk.choose_topk` for the sample. The log
    tells the choice and its reason; the training is, to the bit, that with
    the same numbers given. A warning says where K does not grow in the first
    phase, or the last has fewer than two steps. Checkpoints keep the choice:
    a resumed run does not choose again, unless it is asked for something
    else.

    Args:
        static_k: K of the middle phase, from 1 to the number of non-target
            classes. None: 40 % of them, rounded half up (our choice: the
            papers publish no value). ``'auto'``: from the teacher.
        initial_ratio: Share of the classes to begin with, in (0, 1].
        phases: Progress at which the middle phase begins and ends, or
            ``'auto'``.
        by_epoch: Set K each epoch, else each iteration.
        share: For ``static_k='auto'``, in (0, 1); the default is our choice.
        sample_size: For ``'auto'``: number of training images.

    Raises:
        TypeError: A count is not an int, or ``'auto'`` is asked of a loss
            without a temperature.
        ValueError: An argument is out of range or without effect, no loss
            has ``topk``, or ``'auto'`` finds no logits to look at.

    Example:
        >>> hook = DynamicTopKHook(static_k='auto', phases='auto')
    """

    priority = 'NORMAL'

    def __init__(self,
                 static_k: Union[int, str, None] = None,
                 initial_ratio: float = 0.05,
                 phases: Union[Sequence[float], str] = (0.3, 0.7),
                 by_epoch: bool = True,
                 share: float = SHARE,
                 sample_size: int = SAMPLE_SIZE) -> None:
        check_static_k(static_k)
        self.phases = check_phases(phases)
        known = (0.0, 1.0) if isinstance(self.phases, str) else self.phases
        # Fails here, not at the first epoch, when a ratio is out of range.
        dynamic_topk(0.0, 2, 1, initial_ratio, known)
        check_sample(static_k, phases, share, sample_size)
        self.static_k = static_k
        self.initial_ratio = initial_ratio
        self.by_epoch = by_epoch
        self.share = share
        self.sample_size = sample_size
        self._choice: Optional[Choice] = None

    def before_train(self, runner: Runner) -> None:
        """Check that there is a K to set, and that it can be reached."""
        distiller = get_distiller(runner, 'DynamicTopKHook')
        if not any(hasattr(loss, 'topk') for loss in distiller.losses):
            names = [type(loss).__name__ for loss in distiller.losses]
            raise ValueError(
                f'DynamicTopKHook sets topk, which none of {names} has: use '
                'DeepKDLoss, or leave the hook out, with '
                'default_hooks=dict(topk=None) where a config that yours is '
                'based on has it under that name.')
        others = distiller.num_logits - 1
        if isinstance(self.static_k, int) and self.static_k > others:
            raise ValueError(
                f'DynamicTopKHook has static_k={self.static_k}, the model '
                f'{others} non-target classes: choose static_k from 1 to '
                f'{others}.')
        if self.by_epoch and not isinstance(runner.train_loop,
                                            EpochBasedTrainLoop):
            raise ValueError(
                'DynamicTopKHook(by_epoch=True) needs an epoch-based train '
                'loop: set by_epoch=False to schedule K by iteration.')
        self._choice = self._choose(runner, distiller)
        self._log(runner, others)
        if self._at(0.0, distiller) == 1 < others:
            runner.logger.warning(
                f'Dynamic top-K begins with K = 1 of {others} non-target '
                'classes, and in one class there is nothing to distil: the '
                'non-target part is 0 until K grows; with so few classes set '
                f'static_k={others} and initial_ratio=0.5 of '
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
        choice = self._chosen
        origin = ' (our default)' if self.static_k is None else (
            ' (auto)' if self.static_k == AUTO else '')
        static, others = choice.static_k, distiller.num_logits - 1
        begin, end = (f'{100 * phase:g} %' for phase in choice.phases)
        steps = 'epochs' if self.by_epoch else 'iterations'
        return (f'K from {self._at(0.0, distiller)} to {static}'
                f'{origin} at {begin} of the {steps}'
                f'{" (auto)" if self.phases == AUTO else ""}, {static} until '
                f'{end}, then up to all {others} non-target classes')

    @property
    def _chosen(self) -> Choice:
        assert self._choice is not None, 'before_train chooses'
        return self._choice

    def _choose(self, runner: Runner, distiller: Any) -> Choice:
        """Return the schedule: given, of the checkpoint, or of a sample."""
        others, static_k, phases = distiller.num_logits - 1, None, None
        if self.static_k is None:
            static_k = max(1, int(_STATIC_SHARE * others + 0.5))
        elif isinstance(self.static_k, int):
            static_k = self.static_k
        if not isinstance(self.phases, str):
            phases = self.phases
        if static_k is not None and phases is not None:
            return Choice(static_k, phases, '', '')
        wish = Wish(static_k, phases, self.initial_ratio, self.share,
                    self.sample_size)
        # In a run that begins it would be that of another of the same name.
        kept = runner.message_hub.get_info(_KEY) if runner.iter else None
        choice = restored(kept, wish)
        if choice is None:
            choice = choose_topk(runner, distiller.losses,
                                 distiller.num_logits, wish)
            runner.message_hub.update_info(_KEY, stored(choice, wish))
        steps = runner.max_epochs if self.by_epoch else runner.max_iters
        first = dynamic_topk(0.0, distiller.num_logits, choice.static_k,
                             self.initial_ratio, choice.phases)
        for remark in remarks(choice, wish, first, steps):
            runner.logger.warning(f'Dynamic top-K with auto: {remark}.')
        return choice

    def _log(self, runner: Runner, others: int) -> None:
        choice = self._chosen
        default = 'our default, 40 % of them; the papers publish no value'
        origin = choice.why_static_k or (
            default if self.static_k is None else 'given')
        text = (f'Dynamic top-K: static K {choice.static_k} of {others} '
                f'non-target classes ({origin})')
        if choice.why_phases:
            begin, end = choice.phases
            text += f'; phases {begin:g}, {end:g} ({choice.why_phases})'
        runner.logger.info(f'{text}.')

    def _at(self, progress: float, distiller: Any) -> int:
        return dynamic_topk(progress, distiller.num_logits,
                            self._chosen.static_k, self.initial_ratio,
                            self._chosen.phases)

    def _set(self, runner: Runner, step: int, steps: int) -> None:
        distiller = get_distiller(runner, 'DynamicTopKHook')
        progress = min(step / (steps - 1), 1.0) if steps > 1 else 1.0
        topk = self._at(progress, distiller)
        for loss in distiller.losses:
            if hasattr(loss, 'topk'):
                loss.topk = topk
        runner.message_hub.update_scalar('train/topk', topk)
