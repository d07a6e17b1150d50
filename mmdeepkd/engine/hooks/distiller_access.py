"""How hooks reach the distiller of a run."""
from typing import Any

from mmengine.runner import Runner

from ..unwrap import unwrap


def get_distiller(runner: Runner, asked_by: str) -> Any:
    """Return the distiller of a run, without wrappers.

    Args:
        runner: The runner.
        asked_by: Name of the hook, for the error message.

    Raises:
        TypeError: The model is no distiller.
    """
    model = unwrap(runner.model)
    if not hasattr(model, 'losses') or not hasattr(model, 'loss_names'):
        raise TypeError(
            f'{asked_by} needs a distiller such as '
            'mmdeepkd.DetectorDistiller as the model, got '
            f'{type(model).__name__}: remove the hook from this config.')
    return model
