"""Measures the gradient streams of a run."""
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.registry import HOOKS

from ..adapters import student_indices
from ..agreement import Agreement
from ..gradients import parameters
from ..model_parts import Parts, check_parts, split_by_part
from ..optim_wrapper import DeepKDOptimWrapper
from ..stream_burst import StreamBurst
from ..stream_report import Report, complete_report, write_report
from ..stream_window import Window
from ..unwrap import unwrap


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
    - *The average* is over the elements of all of the student's parameters,
      or of a part's, whose gradient varies (by more than 1e-5 of its mean,
      about what float32 sums leave of equal values); an update in which an
      element has no gradient of a stream is a sample of 0. It is no robust
      mean: an element whose gradient hardly varies has a ratio of up to 1e10
      and dominates it.
    - *Adapters*, which feature losses train beside the student, are a part of
      their own, ``gsnr/feature/distill``: averages, norms, ratios and
      cosines are the student's. ``stream_loss/feature`` alone has their
      losses in it, too: it is the stream's whole loss. (A stream that shares
      the momentum of ``feature`` may have a ratio there by rounding, about
      0.)

    Reported is, after each window and as they were in it: ``gsnr/<stream>``,
    ``gsnr/<stream>/<part>``; ``grad_norm/<stream>``, the mean norm of a
    sample; ``grad_ratio/<stream>``, that norm over the task's;
    ``grad_cosine/<stream>-<stream>``, the mean over the samples;
    ``stream_loss/<stream>``, the mean over the samples and the ranks that
    have it; ``momentum/<stream>``, of the first parameter group; ``topk``;
    ``agreement``, the share of samples whose largest logit student and
    teacher give to the same class (of a detector: of the RoIs that the
    student samples, background as a class, without those of weight 0; of
    all iterations since the window began). All visualisation backends get it
    (step: completed iterations), the log a line, and
    ``<log_dir>/streams.jsonl`` a line of JSON with ``iter`` and ``epoch``,
    completed. A window that a run ends in is not reported.

    The training is the same to the bit, save where a model recomputes
    BatchNorm in the backward (non-reentrant activation checkpointing): each
    further backward updates its statistics once more. A window takes, per
    stream, two copies of the parameters in float32; and in each of its
    updates one more backward for each stream that shares another's momentum,
    some passes over the gradients, and one more synchronisation of host and
    device, with several processes two. An update has copies of the gradients
    besides, for a moment: two more sets were measured where the streams of
    delta share momenta, four with float16. Outside of windows it takes
    nothing.

    Args:
        interval: Iterations from the begin of a window to the next, at least
            ``samples`` updates (DeepKD measures every 200). One that is no
            multiple of the accumulated iterations needs room for the wait
            for a whole update, too.
        samples: Updates per window, at least 4; from 6 on the estimate of an
            element has a finite variance.
        parts: ``{name: prefix or list of prefixes}`` of the names of
            parameters to report on. None: the children of the model (the
            adapters, ``distill``, are one), of a backbone each of its
            stages.

    Raises:
        TypeError: The optimizer wrapper has no streams, a count is no int,
            or ``parts`` is something else.
        ValueError: There are too few samples or iterations, a prefix matches
            no parameter, or the run has another such hook.

    Example:
        >>> default_hooks = dict(gsnr=dict(type='mmdeepkd.GSNRHook'))
    """

    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 200,
                 samples: int = 8,
                 parts: Optional[Parts] = None) -> None:
        name = type(self).__name__
        self.window = Window(interval, samples)
        self.window.check(name)
        self.parts = None if parts is None else check_parts(parts, name)
        self._burst: Optional[StreamBurst] = None
        self._agreement: Optional[Agreement] = None
        self._members: Dict[str, List[int]] = {}
        self._counted: List[int] = []

    def summary_row(self, runner: Runner) -> str:
        """Return what is measured when.

        Args:
            runner: The runner.
        """
        return (f'GSNR over {self.window.samples} updates every '
                f'{self.window.interval} iterations, in '
                f'{len(self._members)} parts')

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
        self._check_alone(runner)
        self.window.check_room(type(self).__name__,
                               wrapper._accumulative_counts)
        model, params = unwrap(runner.model), parameters(wrapper.optimizer)
        self._members = split_by_part(model, params, self.parts)
        self._counted = student_indices(model, params)

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
        wrapper = runner.optim_wrapper
        counts = wrapper._accumulative_counts
        begins = self.window.begins(
            runner.iter, wrapper._inner_count % counts, counts)
        if not begins or self._burst is not None:
            return
        self._burst = StreamBurst(wrapper.optimizer, self._counted)
        self._agreement = Agreement(unwrap(runner.model))
        wrapper.observe(self._burst.add)

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
        if self._burst is None or (
                self._burst.samples < self.window.samples):
            return
        assert self._agreement is not None
        report = [complete_report(runner, self._burst, self._agreement,
                                  self._members)]
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

    def _reported(self, runner: Runner, report: Report) -> None:
        """Write a report; on all ranks, which have the same.

        Args:
            runner: The runner.
            report: That of rank 0.
        """
        write_report(runner, report)

    def _end(self, runner: Runner) -> None:
        if self._burst is None or self._agreement is None:
            return
        runner.optim_wrapper.observe(None)
        self._agreement.close()
        self._burst = self._agreement = None

    def _check_alone(self, runner: Runner) -> None:
        """An update has one observer."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, GSNRHook)]
        if len(hooks) > 1:
            names = ' and '.join(type(hook).__name__ for hook in hooks)
            raise ValueError(
                f'this run has {names}, of which only one can observe the '
                'updates (GSNRMomentumHook measures and reports, too): remove '
                'the other from the config.')
