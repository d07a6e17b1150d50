"""The model itself, without what MMEngine puts around it."""
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> Any:
    """Return the model inside data parallel or test-time augmentation.

    Their tensors are called ``module.*``, those of checkpoints are not.

    Args:
        model: A model of a runner, wrapped (also twice) or not.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner
