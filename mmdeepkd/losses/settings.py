"""Losses that print the settings they run with."""
import inspect
from typing import Any, List

from torch import nn


class PrintsSettings(nn.Module):
    """A module whose ``repr`` is the call that builds it, defaults included.

    Every argument of the constructor is an attribute of that name, here or in
    a part of the module; an argument that no part keeps is without effect
    (the weights of a split that the loss does not make) and not printed.

    Example:
        >>> from mmdeepkd.losses import KDLoss
        >>> KDLoss(temperature=2.0)
        KDLoss(temperature=2.0, loss_weight=1.0, standardize=False)
    """

    def __repr__(self) -> str:
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        settings = [
            f'{name}={values[0]!r}' for name, values in (
                (name, _values(self, name)) for name in names) if values
        ]
        return f'{type(self).__name__}({", ".join(settings)})'


def _values(module: nn.Module, name: str) -> List[Any]:
    return [
        getattr(part, name) for part in module.modules() if hasattr(part, name)
    ]
