"""The precision in which DiffKD's networks are given what they compute on."""
from typing import Dict

import torch
from torch import Tensor, nn

from mmdeepkd.functional.inputs import autocast_dtype, wide


def fit(feature: Tensor, weight: Tensor) -> Tensor:
    """Return a feature as a network takes it.

    Inside autocast, which casts by itself, it is left alone; outside of it
    torch's layers take nothing but the dtype of their weights.

    Args:
        feature: float32, or wider, where the mathematics left it so.
        weight: One of the network; half where the model was cast as a whole.
    """
    if wide(weight.dtype) == weight.dtype or (
            autocast_dtype(weight.device) is not None):
        return feature
    return feature.to(weight.dtype)


def constants_of(network: nn.Module) -> Dict[str, Tensor]:
    """Return a network's parameters, by name, without their gradients.

    Autocast keeps its casts of what needs a gradient alone, and would cast
    these in every call again: inside it those of the convolutions are cast
    here, once.

    Args:
        network: It is called several times with what is returned.
    """
    constants = {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
    }
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            dtype = autocast_dtype(module.weight.device)
            # Autocast leaves float64 alone.
            if dtype is None or module.weight.dtype == torch.float64:
                continue
            for name, _ in module.named_parameters(path):
                constants[name] = constants[name].to(dtype)
    return constants
