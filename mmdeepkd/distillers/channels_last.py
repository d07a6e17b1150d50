"""A student in torch's channels_last format."""
from typing import Any, Tuple

import torch
from torch import Tensor, nn

# By name, since only the detection room imports mmcv.
_OPERATORS = 'mmcv.ops.'
_ROI_ALIGN = 'mmcv.ops.roi_align.RoIAlign'


def to_channels_last(student: nn.Module) -> None:
    """Lay the weights of a student's convolutions out in channels_last.

    mmcv's operators read channels_last tensors wrongly, without an error.
    RoIAlign is given contiguous ones; others are refused.

    Args:
        student: Changed in place.

    Raises:
        ValueError: It has modules of mmcv's other operators.
    """
    names = {
        name: f'{type(module).__module__}.{type(module).__qualname__}'
        for name, module in student.named_modules()
    }
    wrong = [name for name, kind in names.items()
             if kind.startswith(_OPERATORS) and kind != _ROI_ALIGN]
    if wrong:
        raise ValueError(
            f'the student has channels_last=True and {len(wrong)} of its '
            f"modules, such as {wrong[0]}, are mmcv's "
            f'{names[wrong[0]].split(".")[-1]}, which reads that format '
            'wrongly: leave channels_last out.')
    for name, module in student.named_modules():
        if names[name] == _ROI_ALIGN:
            module.register_forward_pre_hook(_contiguous)
    student.to(memory_format=torch.channels_last)


def images_channels_last(inputs: Any) -> Any:
    """Return images in channels_last.

    Args:
        inputs: (N, C, H, W), or several such.
    """
    if isinstance(inputs, Tensor):
        return inputs.contiguous(memory_format=torch.channels_last)
    return [images_channels_last(view) for view in inputs]


def _contiguous(module: nn.Module, args: Tuple[Any, ...]) -> Tuple[Any, ...]:
    return (args[0].contiguous(), *args[1:])
