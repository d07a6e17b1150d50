"""One batch in the pixel format of another model."""
from typing import NamedTuple, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F


class PixelFormat(NamedTuple):
    """How a model's preprocessor turns an image into its input.

    Args:
        mean: Subtracted per channel.
        std: Divided by per channel.
        flipped: Whether the channel order of the loaded image is reversed.
        pad_value: Value of padded pixels, after normalisation.
        divisor: Height and width of a batch are multiples of it.
    """

    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    flipped: bool
    pad_value: float
    divisor: int


def convert_pixels(inputs: Tensor, source: PixelFormat, target: PixelFormat,
                   shapes: Sequence[Tuple[int, int]]) -> Tensor:
    """Re-normalise a padded batch from one model's format to another's.

    Args:
        inputs: (N, C, H, W), in the source format.
        source: Format of the inputs.
        target: Wanted format.
        shapes: (height, width) of each image before padding.

    Returns:
        (N, C, H', W') in the target format: the same pixels, the padding at
        the target's pad value; H' and W' are H and W rounded up to the
        target's divisor. The input itself where the formats agree.
    """
    height, width = inputs.shape[-2:]
    grow = (-width % target.divisor, -height % target.divisor)
    # On numbers, not tensors: comparing tensors would make a GPU wait.
    same = source[:3] == target[:3]
    if same and source.pad_value == target.pad_value and not any(grow):
        return inputs
    if not same:
        inputs = _renormalise(inputs, source, target)
    if any(grow):
        inputs = F.pad(inputs, (0, grow[0], 0, grow[1]))
    elif same:
        inputs = inputs.clone()
    for image, (valid_height, valid_width) in zip(inputs, shapes):
        # Slices without elements cost a GPU as much as others.
        if valid_height < inputs.size(2):
            image[:, valid_height:] = target.pad_value
        if valid_width < inputs.size(3):
            image[:, :, valid_width:] = target.pad_value
    return inputs


def _renormalise(inputs: Tensor, source: PixelFormat,
                 target: PixelFormat) -> Tensor:
    result = torch.empty_like(inputs)
    channels = inputs.size(1)
    # Numbers, channel by channel: a tensor made of them for every batch
    # would be copied to a GPU each time.
    for new in range(channels):
        old = channels - 1 - new if source.flipped != target.flipped else new
        pixels = torch.mul(inputs[:, old], _of(source.std, old))
        pixels.add_(_of(source.mean, old)).sub_(_of(target.mean, new))
        result[:, new] = pixels.div_(_of(target.std, new))
    return result


def _of(values: Tuple[float, ...], channel: int) -> float:
    # One number stands for all channels.
    return values[channel] if len(values) > 1 else values[0]
