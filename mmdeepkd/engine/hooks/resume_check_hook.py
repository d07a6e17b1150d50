"""Runs are resumed completely, or not at all."""
from pathlib import PurePath
from typing import Any, Dict, List

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import compare_tensors, few, strip_wrapper
from mmdeepkd.registry import HOOKS

from ..files import noted_name
from ..unwrap import unwrap

# What resuming restores, and without which it would begin anew.
_TRAINING = dict(
    meta='the progress', message_hub='the log', optimizer='the optimizer',
    param_schedulers='the schedules')


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Refuse to resume from a file that is not the state of this very run.

    MMEngine loads what fits, warns in the log and goes on: with random heads
    after a change of classes, with new momenta from a file without any.
    ``DistillRunner`` registers the hook; ``resume_check=None`` in
    ``default_hooks`` takes what fits.
    """

    # Before EMAHook, which loads the averaged weights.
    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Compare the checkpoint with the run, if it is to be resumed.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint.

        Raises:
            RuntimeError: Part of the training state is missing, or the
                weights are another model's.
        """
        if not runner._resume:
            return
        source = str(runner._load_from)
        missing = [name for key, name in _TRAINING.items()
                   if key not in checkpoint]
        if runner.param_schedulers is None and 'the schedules' in missing:
            missing.remove('the schedules')
        if missing:
            raise RuntimeError(
                f'{source} cannot be resumed from, it holds weights but not '
                f'{", ".join(missing)} {_cause(checkpoint, source)}, or start '
                'from these weights with load_from=... and resume=False.')
        differences = _differences(runner, source, checkpoint['state_dict'])
        if differences:
            raise RuntimeError(
                f'{source} cannot be resumed from, it is of another model: '
                f'{"; ".join(differences)}; resume with the config it was '
                'trained with, or start from what fits with load_from=... '
                'and resume=False.')


def _cause(checkpoint: Dict[str, Any], source: str) -> str:
    """Say why a file is no complete state, and what else can be done."""
    if noted_name(checkpoint) != PurePath(source).name:
        return ('(as best_*.pth and exported files do): resume from an '
                'epoch_*.pth or iter_*.pth')
    return ('(the run saved it with save_optimizer=False or '
            'save_param_scheduler=False of CheckpointHook): to begin these '
            'anew, set default_hooks=dict(resume_check=None)')


def _differences(runner: Runner, source: str, weights: Any) -> List[str]:
    """Say where weights are not those of the model."""
    report = compare_tensors('resume', source, strip_wrapper(weights),
                             unwrap(runner.model).state_dict())
    return [
        few(names, what)
        for names, what in ((report.mismatched, 'of another shape'),
                            (report.missing, 'missing'), (report.unexpected,
                                                          'not in it'))
        if names
    ]
