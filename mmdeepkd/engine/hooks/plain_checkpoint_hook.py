"""Checkpoints that open without this package."""
from typing import Any, Dict

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdeepkd.checkpoints import decode_state, encode_state
from mmdeepkd.registry import HOOKS


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
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        if hasattr(model, 'plain_checkpoints'):
            model.plain_checkpoints = True

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: Dict[str, Any]) -> None:
        """Replace MMEngine's objects by data.

        Args:
            runner: The runner.
            checkpoint: The checkpoint about to be saved; changed in place.
        """
        encoded, unknown = encode_state(checkpoint)
        checkpoint.update(encoded)
        if unknown:
            runner.logger.warning(
                'the checkpoint holds objects that are not plain data, added '
                'by another hook or the config; torch.load refuses them by '
                f'default: {"; ".join(unknown)}.')

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Restore MMEngine's objects.

        Args:
            runner: The runner.
            checkpoint: The loaded checkpoint; changed in place.
        """
        checkpoint.update(decode_state(checkpoint))
