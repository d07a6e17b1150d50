"""Runs are resumed completely, or not at all."""
import re
from typing import Any, Dict, List

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdeepkd.registry import HOOKS

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
        missing = [name for key, name in _TRAINING.items()
                   if key not in checkpoint]
        if runner.param_schedulers is None and 'the schedules' in missing:
            missing.remove('the schedules')
        if missing:
            raise RuntimeError(
                f'{runner._load_from} cannot be resumed from, it holds '
                f'weights but not {", ".join(missing)} (as best_*.pth and '
                'exported files do): resume from an epoch_*.pth or '
                'iter_*.pth, or start from these weights with load_from=... '
                'and resume=False.')
        differences = _differences(runner.model, checkpoint['state_dict'])
        if differences:
            raise RuntimeError(
                f'{runner._load_from} cannot be resumed from, it is of '
                f'another model: {"; ".join(differences)}; resume with the '
                'config it was trained with, or start from what fits with '
                'load_from=... and resume=False.')


def _differences(model: Any, weights: Dict[str, Any]) -> List[str]:
    """Say where weights are not those of the model."""
    if is_model_wrapper(model):
        model = model.module
    # As MMEngine's Runner loads them.
    found = {re.sub(r'^module\.', '', k): v for k, v in weights.items()}
    expected = model.state_dict()
    # Counters that files of old versions do not have.
    missing = [k for k in expected
               if k not in found and not k.endswith('num_batches_tracked')]
    surplus = [k for k in found if k not in expected]
    shapes = [
        f'{k} {tuple(v.shape)} instead of {tuple(expected[k].shape)}'
        for k, v in found.items()
        if k in expected and v.shape != expected[k].shape
    ]
    return [
        f'{len(names)} tensor(s) {what} (such as {names[0]})'
        for names, what in ((shapes, 'have another shape'),
                            (missing, 'are missing'),
                            (surplus, 'are not in it')) if names
    ]
