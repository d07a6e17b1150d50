"""Measures the gradient streams of a run."""
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.functional.gsnr import FEWEST_SAMPLES
from mmdeepkd.registry import HOOKS

from ..agreement import Agreement, losses_of
from ..gradients import parameters
from ..model_parts import Parts, split_by_part
from ..optim_wrapper import DeepKDOptimWrapper
from ..optimizers.streams import check_momentum
from ..stream_burst import StreamBurst
from ..stream_report import write_report
from ..unwrap import unwrap

#: ``{name: number}``
Report = Dict[str, float]


@HOOKS.register_module()
class GSNRHook(Hook):
    r"""Estimate the gradient signal-to-noise ratio of every stream.

    GSNR is :math:`E[g]^2 / \mathrm{Var}[g]` (DeepKD, Sec. 3.2; Liu et al.,
    "Understanding Why Neural Networks Generalize Well Through GSNR of
    Parameters", ICLR 2020, Sec. 2), here estimated as follows.

    - *A sample* is the gradient of one stream's loss, with its weights and
      its warm-up, over one update: of all iterations of an accumulation and
      all ranks, unscaled and before it is clipped. So it is the ratio of the
      gradient that trains: of a batch N times as large it is N times as
      large. Streams that share a momentum are samples of their own.
    - *The window*: ``samples`` consecutive updates, the first of which is
      the first to begin at an iteration divisible by ``interval``. Updates
      that are skipped do not count (of float16, nor do those of which one
      stream overflows and their sum does not). The parameters move
      meanwhile, by so many steps; what the gradient's mean moves by is part
      of the variance.
    - *Bias*: :func:`mmdeepkd.functional.gsnr` corrects both that of the
      squared mean and that of the inverse variance; for independent normal
      samples the estimate is unbiased.
    - *The average* is over the elements of all parameters, or of a part's,
      whose sample variance is not 0 (to float32's rounding); an update in
      which an element has no gradient of a stream is a sample of 0.

    Reported is, after each window and as they were in it: ``gsnr/<stream>``,
    ``gsnr/<stream>/<part>``; ``grad_norm/<stream>``, the mean norm of a
    sample; ``grad_ratio/<stream>``, that norm over the task's;
    ``grad_cosine/<stream>-<stream>``, the mean over the samples;
    ``stream_loss/<stream>``, the mean over the samples and the ranks that
    have it; ``momentum/<stream>``, of the first parameter group; ``topk``;
    ``agreement``, the share of samples (or RoIs) whose largest logit student
    and teacher give to the same class. All visualisation backends get it
    (step: completed iterations), the log a line, and
    ``<log_dir>/streams.jsonl`` a line of JSON with ``iter`` and ``epoch``,
    completed. A window that a run ends in is not reported.

    The training is the same to the bit. A window takes, per stream, two
    copies of the parameters in float32; and in each of its updates one more
    backward for each stream that shares a momentum, some passes over the
    gradients and one more synchronisation of host and device. Outside of
    windows it takes nothing.

    Args:
        interval: Iterations from the begin of a window to the next, at least
            ``samples`` updates (DeepKD measures every 200).
        samples: Updates per window, at least 4; from 6 on the estimate of an
            element has a finite variance.
        parts: ``{name: prefix}``, or a list of prefixes, of the names of
            parameters to report on. None: the children of the model, of a
            backbone each of its stages.

    Raises:
        TypeError: The optimizer wrapper has no streams, or an argument is no
            int.
        ValueError: There are too few samples or iterations, or a prefix
            matches no parameter.

    Example:
        >>> custom_hooks = [dict(type='mmdeepkd.GSNRHook', interval=200)]
    """

    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 200,
                 samples: int = 8,
                 parts: Optional[Parts] = None) -> None:
        name = type(self).__name__
        for given, value in (('interval', interval), ('samples', samples)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f'{name} needs an int for {given}, got '
                                f'{value!r}: it is a count.')
        if samples < FEWEST_SAMPLES:
            raise ValueError(
                f'{name} has samples={samples} but needs at least '
                f'{FEWEST_SAMPLES}: with fewer the estimate has no '
                'expectation.')
        self.interval = interval
        self.samples = samples
        self.parts = parts
        self._check_interval(1)
        self._burst: Optional[StreamBurst] = None
        self._agreement: Optional[Agreement] = None
        self._members: Dict[str, List[int]] = {}

    def summary_row(self, runner: Runner) -> str:
        """Return what is measured when.

        Args:
            runner: The runner.
        """
        return (f'GSNR over {self.samples} updates every {self.interval} '
                f'iterations, in {len(self._members)} parts')

    def before_train(self, runner: Runner) -> None:
        """Check that there are streams, and find the parts.

        Args:
            runner: The runner.
        """
        self._end(runner)
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, DeepKDOptimWrapper):
            raise TypeError(
                f'{type(self).__name__} measures the gradient streams of '
                'mmdeepkd.DeepKDOptimWrapper, the config has '
                f'{type(wrapper).__name__}: set optim_wrapper.type, or remove '
                'the hook.')
        self._check_interval(wrapper._accumulative_counts)
        self._members = split_by_part(
            unwrap(runner.model), parameters(wrapper.optimizer), self.parts)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Begin a window where one is due.

        Args:
            runner: The runner.
            batch_idx: Number of the iteration in the epoch.
            data_batch: The batch.
        """
        if runner.iter % self.interval or self._burst is not None:
            return
        self._burst = StreamBurst(runner.optim_wrapper.optimizer)
        self._agreement = Agreement(unwrap(runner.model))
        runner.optim_wrapper.observe(self._burst.add)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """End a window that is complete, and report on it.

        Args:
            runner: The runner.
            batch_idx: Number of the iteration in the epoch.
            data_batch: The batch.
            outputs: What is logged.
        """
        if self._burst is None or self._burst.samples < self.samples:
            return
        report = [self.report(runner)]
        self._end(runner)
        # Every rank goes on with the same bits, whatever its device.
        broadcast_object_list(report)
        self._reported(runner, report[0])

    def after_train(self, runner: Runner) -> None:
        """Drop a window that is not complete.

        Args:
            runner: The runner.
        """
        self._end(runner)

    def report(self, runner: Runner) -> Report:
        """Return the report of the window that is complete; on all ranks.

        Args:
            runner: The runner.
        """
        assert self._burst is not None and self._agreement is not None
        report = self._burst.report(self._members, self._agreement)
        group = runner.optim_wrapper.param_groups[0]
        for stream in self._burst.streams:
            report[f'momentum/{stream}'] = check_momentum(stream, group)
        topk = _topk(unwrap(runner.model))
        if topk is not None:
            report['topk'] = float(topk)
        return report

    def _reported(self, runner: Runner, report: Report) -> None:
        """Write a report; on all ranks, which have the same.

        Args:
            runner: The runner.
            report: From :meth:`report`, of rank 0.
        """
        write_report(runner, report)

    def _end(self, runner: Runner) -> None:
        if self._burst is None or self._agreement is None:
            return
        runner.optim_wrapper.observe(None)
        self._agreement.close()
        self._burst = self._agreement = None

    def _check_interval(self, accumulative_counts: int) -> None:
        least = self.samples * accumulative_counts
        if self.interval < least:
            raise ValueError(
                f'{type(self).__name__} has interval={self.interval}, in '
                f'which {self.samples} updates of {accumulative_counts} '
                f'iteration(s) have no room: set interval >= {least}, or '
                'fewer samples.')


def _topk(model: Any) -> Optional[int]:
    """Return the K of the first loss that masks classes."""
    for loss in losses_of(model):
        topk: Optional[int] = getattr(loss, 'topk', None)
        if topk is not None:
            return topk
    return None
