"""Checkpoints that open without this package."""
import inspect
from typing import Any, Dict

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import decode_state, encode_state
from mmdeepkd.registry import HOOKS

from ..unwrap import unwrap


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save MMEngine's training state as data, restore it on resume.

    With it a checkpoint holds tensors and plain containers only: plain mmdet
    opens it with torch's default ``weights_only``, in a process that cannot
    import mmdeepkd. ``DistillRunner`` registers it.
    """

    # After every hook that adds to the checkpoint. What other hooks read of a
    # loaded one (weights) is not encoded.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Tell the distiller that its checkpoints are taken care of."""
        model = unwrap(runner.model)
        if hasattr(model, 'plain_checkpoints'):
            model.plain_checkpoints = True

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: Dict[str, Any]) -> None:
        """Replace MMEngine's objects by data.

        Args:
            runner: The runner.
            checkpoint: The checkpoint about to be saved; changed in place.
        """
        if 'param_schedulers' in checkpoint:
            checkpoint['param_schedulers'] = _without_functions(
                checkpoint['param_schedulers'])
        encoded, unknown = encode_state(checkpoint)
        checkpoint.update(encoded)
        if unknown:
            runner.logger.warning(
                'the checkpoint holds objects that are not plain data, added '
                f'by another hook or the config ({"; ".join(unknown)}): '
                'torch.load refuses the file by default, and this run cannot '
                'resume from it, but for plain sets; save numbers, strings, '
                'lists, dicts or tensors instead.')

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Restore MMEngine's objects.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint; changed in place.
        """
        checkpoint.update(decode_state(checkpoint))


def _without_functions(schedulers: Any) -> Any:
    """Return the states of schedulers without their functions and methods.

    OneCycleLR saves which of its methods anneals; a run that resumes has
    chosen its own by the config, and loading leaves it what is not given.

    Args:
        schedulers: A list of states, or such lists by optimizer.
    """
    if isinstance(schedulers, dict):
        return {k: _without_functions(v) for k, v in schedulers.items()}
    return [{
        key: value
        for key, value in state.items() if not inspect.isroutine(value)
    } for state in schedulers]
