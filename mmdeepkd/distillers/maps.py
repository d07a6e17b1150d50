"""The feature maps of a model: recorded while it runs, and their sizes."""
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn


class MapInfo(NamedTuple):
    """What is known of one map before the first batch.

    Attributes:
        channels: Number of its channels.
        stride: Pixels of the image per element of the map; None where the
            output is no map (N, C, H, W).
    """

    channels: int
    stride: Optional[float]


@contextmanager
def record_output(module: nn.Module) -> Iterator[List[Any]]:
    """Collect what a module gives in the calls inside.

    The hook is gone afterwards: tensors with a graph cannot be deep-copied
    (EMA), and must not outlive the iteration.

    Args:
        module: Part of a student or teacher.
    """
    outputs: List[Any] = []
    handle = module.register_forward_hook(
        lambda module, args, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def maps_of(outputs: List[Any], what: str) -> Tuple[Any, ...]:
    """Return the maps that a module gave in its only call.

    Args:
        outputs: Of :func:`record_output`.
        what: The module, for the message, such as ``'backbone of the
            student'``.

    Raises:
        TypeError: It ran more than once, or not at all.
    """
    if len(outputs) != 1:
        raise TypeError(
            f'the {what} ran {len(outputs)} times in its loss, so that its '
            'maps are unknown: use a model whose loss runs it once, or a '
            'loss on logits.')
    return as_maps(outputs[0])


def as_maps(output: Any) -> Tuple[Any, ...]:
    """Return one map, or several, as a tuple.

    Args:
        output: Of a backbone or neck.
    """
    return tuple(output) if isinstance(output, (list, tuple)) else (output, )


def probe_maps(run: Callable[[Tensor], Any], model: nn.Module, size: int,
               channels: Optional[int] = None,
               what: str = 'maps') -> List[MapInfo]:
    """Return the channels and strides of the maps that a model gives.

    It runs once, on a black image, in eval mode and without a graph; its
    modes and torch's random numbers are then as before.

    Args:
        run: Gives the maps of an image (1, C, size, size).
        model: What runs.
        size: Height and width of the image, in pixels.
        channels: C of the image; None: as the first convolution reads.
        what: Whose maps, for the message, such as ``'backbone of the
            student'``.

    Raises:
        RuntimeError: The model fails on the image.
    """
    modes = [(module, module.training) for module in model.modules()]
    weight = next(model.parameters())
    image = weight.new_zeros(
        1, channels or _input_channels(model), size, size)
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = as_maps(run(image))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise RuntimeError(
            f'the {what} failed on a black image {tuple(image.shape)} on the '
            f'device {image.device.type!r}, which measures its maps while '
            f'the distiller is built ({str(error).strip()}): replace the '
            'layers that need a GPU or another size, or remove the losses on '
            'maps.') from error
    finally:
        # By its own rules, for what it prepares in eval mode (LeViT); then one
        # by one, for parts that were in another mode.
        model.train(modes[0][1])
        for module, mode in modes:
            module.training = mode
    return [_info(output, size) for output in outputs]


def _input_channels(model: nn.Module) -> int:
    # Of the first convolution: a student may read grey images.
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def _info(output: Any, size: int) -> MapInfo:
    if isinstance(output, Tensor) and output.dim() == 4:
        return MapInfo(output.size(1), size / output.size(2))
    return MapInfo(0, None)
