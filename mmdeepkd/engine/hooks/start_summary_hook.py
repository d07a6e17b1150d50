"""What a run is about to do, in one block of its log."""
from typing import Any, Dict, List

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.hooks import RemovableHandle

from mmdeepkd.checkpoints import (
    LoadReport,
    compare_tensors,
    require_match,
    strip_wrapper,
    watch_pretrained,
)
from mmdeepkd.registry import HOOKS

from ..adapters import ADAPTERS
from ..summary import (
    batch_rows,
    batch_warning,
    lay_out,
    model_rows,
    optimization_rows,
    package_rows,
    stream_rows,
    student_of,
)
from ..unwrap import unwrap


@HOOKS.register_module()
class StartSummaryHook(Hook):
    """Print once, when training starts, all settings as they were resolved.

    Versions, student and teacher, how many tensors of each part every file
    gave them, losses, streams with their momenta, schedules, and the batch
    and learning rate; with a warning where the batch is not the recipe's and
    ``auto_scale_lr`` is off. ``DistillRunner`` registers it. Other hooks have
    a row of their own if they define ``summary_row(runner) -> str``. A
    summary that cannot be made is a warning.

    A file that was to initialise the model (``load_from``, or an
    ``init_cfg`` of type Pretrained) and matches none of its tensors, or none
    of a backbone that no other file has initialised, stops the run: MMEngine
    only warns.
    """

    # After the hooks that check the run, and after EMAHook's copy.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.reports: List[LoadReport] = []
        self._watches: List[RemovableHandle] = []

    def before_run(self, runner: Runner) -> None:
        """Watch what ``init_weights`` loads.

        Args:
            runner: The runner.
        """
        self._end_watch()
        self.reports = []
        self._watches = watch_pretrained(
            student_of(unwrap(runner.model)), self.reports)

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Compare the tensors of a loaded file with the model's.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint.

        Raises:
            RuntimeError: None matches, or none of a backbone that nothing
                else has initialised, and the run is not a resumed one.
        """
        self._end_watch()
        state = strip_wrapper(checkpoint.get('state_dict', checkpoint))
        own = unwrap(runner.model).state_dict()
        # MMEngine has no public name for the two.
        resumed, file = runner._resume, runner._load_from
        report = compare_tensors(
            'resume' if resumed else 'load_from',
            str(file or 'the latest checkpoint'), state, own)
        if not resumed:
            require_match(report, state, own, self.reports)
            _tell_lost(runner, report)
        self.reports.append(report)

    def before_train(self, runner: Runner) -> None:
        """Print the block.

        Args:
            runner: The runner.
        """
        self._end_watch()
        if not is_main_process():
            return
        try:
            self._print(runner)
        # The rows ask models, samplers, hooks and optimizers of any kind. What
        # one of them lacks must not end the run.
        except Exception as error:
            runner.logger.warning(
                'The summary of this run could not be made '
                f'({type(error).__name__}: {error}); training goes on.')

    def _print(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        reports = [*getattr(model, 'load_reports', []), *self.reports]
        rows = [
            *package_rows(),
            *model_rows(model, runner.cfg.get('model'), reports),
            *stream_rows(runner, model),
            *optimization_rows(runner),
            *batch_rows(runner),
        ]
        title = 'This run, as its config was resolved'
        runner.logger.info(f'\n{lay_out(title, rows)}')
        warning = batch_warning(runner)
        if warning:
            runner.logger.warning(warning)

    def _end_watch(self) -> None:
        for watch in self._watches:
            watch.remove()
        self._watches = []


def _tell_lost(runner: Runner, report: LoadReport) -> None:
    """Say what of the model a file does not hold."""
    if report.matched == report.total:
        return
    found, adapters = report.parts.get(ADAPTERS, (0, 0))
    if not found and report.matched == report.total - adapters:
        runner.logger.info(
            'load_from holds the student and no adapter, which all begin with '
            f'random weights: {report.describe()}.')
        return
    runner.logger.warning(
        f'load_from does not hold the whole model: {report.describe()}. The '
        'rest keeps the weights it had, save for what a module resizes while '
        'loading (position embeddings).')
