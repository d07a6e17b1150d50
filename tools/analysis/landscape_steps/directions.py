"""Directions to walk away from a checkpoint in, filter by filter."""
from contextlib import contextmanager
from typing import Dict, Iterator, List, Sequence

import torch
from torch import Tensor, nn

Direction = Dict[str, Tensor]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def filter_normalised(model: nn.Module, seed: int,
                      count: int) -> List[Direction]:
    """Draw directions as long as the model's weights, filter by filter.

    For a weight w with filters w_j (its first dimension) and Gaussian noise d
    of its shape: d_j |w_j| / |d_j|, with Frobenius norms. Biases and the
    parameters of normalisations stay where they are.

    Source: Li et al., "Visualizing the Loss Landscape of Neural Nets" (2018),
    Sec. 4.

    Args:
        model: The model in the middle.
        seed: Seed of the noise: with it, models of one architecture get
            directions from the same noise.
        count: Number of directions; the first ones are the same for every
            count.

    Returns:
        Each by name of the parameters that are moved.
    """
    generator = torch.Generator().manual_seed(seed)
    return [{
        name: _scaled(torch.randn(weight.shape, generator=generator), weight)
        for name, weight in moved(model).items()} for _ in range(count)]


def moved(model: nn.Module) -> Dict[str, Tensor]:
    """Return the weights with filters, of at least two dimensions.

    Args:
        model: The model.
    """
    fixed = {
        id(parameter) for module in model.modules()
        if isinstance(module, _NORMS) for parameter in module.parameters()}
    return {
        name: parameter.detach() for name, parameter in
        model.named_parameters()
        if parameter.dim() > 1 and id(parameter) not in fixed}


def _scaled(noise: Tensor, weight: Tensor) -> Tensor:
    noise = noise.to(weight)
    length = noise.flatten(1).norm(dim=1)
    wanted = weight.flatten(1).norm(dim=1)
    return noise * (wanted / length).reshape(-1, *[1] * (noise.dim() - 1))


@contextmanager
def at_home(model: nn.Module) -> Iterator[Dict[str, Tensor]]:
    """Put the weights back where they were, bit for bit, whatever happens.

    Args:
        model: The model.

    Yields:
        A copy of what :func:`moved` returns.
    """
    weights = moved(model)
    home = {name: weight.clone() for name, weight in weights.items()}
    try:
        yield home
    finally:
        for name, weight in weights.items():
            weight.copy_(home[name])


def move(model: nn.Module, home: Dict[str, Tensor],
         directions: Sequence[Direction], steps: Sequence[float]) -> None:
    """Set the weights to home + sum_i step_i direction_i.

    Args:
        model: The model; changed in place.
        home: The weights in the middle.
        directions: The directions.
        steps: One per direction; with zeros the weights are ``home``.
    """
    for name, weight in moved(model).items():
        weight.copy_(home[name])
        for direction, step in zip(directions, steps):
            if step:
                weight.add_(direction[name], alpha=step)
