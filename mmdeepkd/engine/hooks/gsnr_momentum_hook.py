"""Momenta that follow the signal-to-noise ratio of their streams."""
import math
from typing import Any, Dict, List, Optional

from mmengine.runner import Runner

from mmdeepkd.functional.gsnr import gsnr_offsets
from mmdeepkd.registry import HOOKS

from ..model_parts import Parts
from ..optimizers.streams import PLAIN, narrower_delta
from ..stream_report import Report
from .gsnr_hook import GSNRHook

# Where a checkpoint has the running means.
_KEY = 'gsnr_momentum'


@HOOKS.register_module()
class GSNRMomentumHook(GSNRHook):
    r"""Set every stream's momentum from its measured GSNR.

    DeepKD (Sec. 3.2) gives streams of a larger GSNR a larger momentum, by
    hand; this hook goes beyond the paper. It measures and reports like
    :class:`GSNRHook`, and keeps per stream the exponential mean of the
    reports :math:`r_1, \dots, r_t`, bias-corrected as Adam's are:

    .. math:: m_t = s\,m_{t-1} + (1 - s)\,r_t, \qquad
        \hat r_t = m_t / (1 - s^t)

    After each report the streams' offsets from the base momentum, in all
    parameter groups, become
    :func:`mmdeepkd.functional.gsnr_offsets` of the :math:`\hat r_t`: within
    [-delta, delta], larger for a larger ratio. They are computed from the
    means alone, which a checkpoint holds, and set again where a run resumes:
    it then is the uninterrupted run, unless it was saved within a window,
    whose report is lost. A stream that was not measured yet keeps its offset.
    Schedules of the base momentum go on beside it.

    AdamW corrects the bias of a stream's first moment by its present
    momentum, as if it had been this one from the first step on: momenta that
    are set early distort a stream for some tens of steps. From 0.90 to 0.95
    is, by arithmetic, 1.6 times too much at step 9 and 1.03 times at step 50.

    The report has ``gsnr_smooth/<stream>``, :math:`\hat r_t`, too;
    ``momentum/<stream>`` is the momentum of the window, before it is set.

    Args:
        delta: The largest distance from the base momentum.
        smoothing: s, the weight of the past, in [0, 1).
        interval: See :class:`GSNRHook`, like the rest.
        samples: Updates per window.
        parts: Parts to report on.

    Raises:
        TypeError: As by :class:`GSNRHook`.
        ValueError: As by :class:`GSNRHook`; delta or smoothing is out of
            range, delta takes a momentum out of [0, 1), streams are merged,
            the optimizer is a released one, or the loss has no streams.

    Example:
        >>> optim_wrapper = dict(
        ...     type='mmdeepkd.DeepKDOptimWrapper', delta=0.05, merge=False)
        >>> default_hooks = dict(gsnr=dict(type='mmdeepkd.GSNRMomentumHook'))
    """

    def __init__(self,
                 delta: float = 0.05,
                 smoothing: float = 0.8,
                 interval: int = 200,
                 samples: int = 8,
                 parts: Optional[Parts] = None) -> None:
        super().__init__(interval, samples, parts)
        if not delta >= 0:
            raise ValueError(
                f'GSNRMomentumHook has delta={delta} but it must be >= 0: it '
                'is the largest distance from the base momentum.')
        if not 0 <= smoothing < 1:
            raise ValueError(
                f'GSNRMomentumHook has smoothing={smoothing} but it must be '
                'in [0, 1): it is the weight of the past reports.')
        self.delta = delta
        self.smoothing = smoothing
        # Of each stream the mean, not yet corrected, and its weight.
        self._means: Dict[str, List[float]] = {}
        self._loaded: Dict[str, List[float]] = {}
        self._resumed = False

    def summary_row(self, runner: Runner) -> str:
        """Return what is measured when, and what follows from it.

        Args:
            runner: The runner.
        """
        return (f'{super().summary_row(runner)}; momenta within '
                f'{self.delta:g} of the base momentum follow it, smoothing '
                f'{self.smoothing:g}')

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Keep the running means of a checkpoint, should it be resumed.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint.
        """
        self._loaded = checkpoint.get(_KEY) or {}
        # MMEngine's own runner calls no after_resume.
        if runner._resume:
            self.after_resume(runner)

    def after_resume(self, runner: Runner) -> None:
        """Take over the running means of the checkpoint.

        Args:
            runner: The runner.
        """
        self._means = {stream: list(pair)
                       for stream, pair in self._loaded.items()}
        self._resumed = True

    def before_train(self, runner: Runner) -> None:
        """Check that the momenta can follow; set those of a resumed run.

        Args:
            runner: The runner.
        """
        super().before_train(runner)
        optimizer = runner.optim_wrapper.optimizer
        if getattr(optimizer, 'semantics', 'paper') == 'released':
            raise ValueError(
                "GSNRMomentumHook cannot set the momenta of semantics="
                "'released', whose rules are fixed: remove semantics from "
                'optim_wrapper, or the hook.')
        if optimizer.merge:
            raise ValueError(
                'GSNRMomentumHook gives every stream a momentum of its own, '
                'and the optimizer merges those of equal momentum: set '
                'merge=False in optim_wrapper.')
        for group in optimizer.param_groups:
            self._check_delta(group)
        if self._resumed:
            self._tell(runner)
        self._set(runner)

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: Dict[str, Any]) -> None:
        """Add the running means.

        Args:
            runner: The runner.
            checkpoint: The checkpoint about to be saved; changed in place.
        """
        checkpoint[_KEY] = {stream: list(pair)
                            for stream, pair in self._means.items()}

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Check that there are streams; end a window that is complete.

        Args:
            runner: The runner.
            batch_idx: Number of the iteration in the epoch.
            data_batch: The batch.
            outputs: What is logged.
        """
        if self._burst is not None and PLAIN in self._burst.streams:
            raise ValueError(
                'GSNRMomentumHook sets the momenta of gradient streams, and '
                'the loss of this model is a plain one: use a distiller, or '
                'remove the hook.')
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def _reported(self, runner: Runner, report: Report) -> None:
        """Follow a report, then write it; on all ranks, with the same."""
        for stream in runner.optim_wrapper.param_groups[0]['offsets']:
            value = report.get(f'gsnr/{stream}', math.nan)
            # Without one where no element's gradient varies.
            if math.isfinite(value):
                mean, weight = self._means.get(stream, (0.0, 0.0))
                self._means[stream] = [
                    self.smoothing * old + (1 - self.smoothing) * new
                    for old, new in ((mean, value), (weight, 1.0))]
        self._set(runner)
        smooth = {f'gsnr_smooth/{stream}': value
                  for stream, value in self._smoothed().items()}
        super()._reported(runner, {**report, **smooth})

    def _smoothed(self) -> Dict[str, float]:
        return {stream: mean / weight
                for stream, (mean, weight) in self._means.items()}

    def _set(self, runner: Runner) -> None:
        """Set the offsets from the running means, and nothing else."""
        offsets = gsnr_offsets(self._smoothed(), self.delta)
        for group in runner.optim_wrapper.param_groups:
            group['offsets'].update(offsets)

    def _check_delta(self, group: Dict[str, Any]) -> None:
        base = group['betas'][0] if 'betas' in group else group['momentum']
        advice = narrower_delta(self.delta, base)
        if advice is not None:
            raise ValueError(
                f'GSNRMomentumHook has delta={self.delta}, which takes the '
                f'momentum {base} of a parameter group out of [0, 1): '
                f'{advice}.')

    def _tell(self, runner: Runner) -> None:
        """Say what a resumed run goes on with."""
        if not self._means:
            runner.logger.info(
                'GSNRMomentumHook finds no running means of GSNR in the '
                'checkpoint: the momenta stay as they are until the first '
                'report.')
            return
        longest = self.window.longest(
            runner.optim_wrapper._accumulative_counts)
        inside = 0 < runner.iter % self.window.interval < longest
        runner.logger.info(
            'GSNRMomentumHook sets the momentum offsets, so that those of the '
            "checkpoint are not the config's; it goes on from the "
            f"checkpoint's running means of GSNR ({self._smoothed()})."
            + (' It may have been saved within a window, whose report is '
               'lost then: until the next one the momenta may differ from '
               'those of the uninterrupted run.' if inside else ''))
