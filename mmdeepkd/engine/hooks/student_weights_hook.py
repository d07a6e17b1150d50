"""Evaluates the student of a checkpoint that holds more."""
from typing import Any, Dict

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import few
from mmdeepkd.registry import HOOKS

from ..adapters import ADAPTERS
from ..unwrap import unwrap


@HOOKS.register_module()
class StudentWeightsHook(Hook):
    """Leave the adapters out of a checkpoint that is loaded into a student.

    A run with a feature loss saves its adapters (``distill.*``) beside the
    student. Loaded into the student alone, MMEngine would list them all as
    unexpected; what else does not match it still lists. ``tools/test.py``
    registers the hook. A distiller that has adapters gets them.
    """

    # Before the hooks that compare, or load (EMAHook), what the file holds.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Take the adapters' tensors out of a loaded checkpoint.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint; changed in place.
        """
        if hasattr(unwrap(runner.model), ADAPTERS):
            return
        state = checkpoint.get('state_dict', checkpoint)
        dropped = [key for key in state if key.startswith(f'{ADAPTERS}.')]
        for key in dropped:
            del state[key]
        if dropped:
            runner.logger.info(
                'the checkpoint was distilled: its '
                f'{few(dropped, "tensors")} of the losses are left out.')
