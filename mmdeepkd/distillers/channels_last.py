"""A student in torch's channels_last format."""
from contextlib import contextmanager
from typing import Any, Iterator, List, Tuple

import torch
from torch import Tensor, nn

# By name, since only the detection room imports mmcv.
_OPERATORS = 'mmcv.ops.'
_ROI_ALIGN = 'mmcv.ops.roi_align.RoIAlign'


def to_channels_last(student: nn.Module) -> None:
    """Lay the weights of a student's convolutions out in channels_last.

    mmcv's operators may read channels_last tensors wrongly, without an error.
    RoIAlign, and what inherits from it, is given contiguous ones; modules of
    other operators are refused. An operator that a module calls as a function
    (``mmcv.ops.roi_align(...)``) cannot be seen.

    Args:
        student: Changed in place.

    Raises:
        ValueError: It has modules of mmcv's other operators.
    """
    operators = {
        name: found for name, found in (
            (name, _operators(module))
            for name, module in student.named_modules()) if found
    }
    wrong = [name for name, found in operators.items()
             if _ROI_ALIGN not in found]
    if wrong:
        raise ValueError(
            f'the student has channels_last=True and {len(wrong)} of its '
            f"modules, such as {wrong[0]}, are mmcv's "
            f'{operators[wrong[0]][0].split(".")[-1]}, which may read that '
            'format wrongly: leave channels_last out.')
    for name in operators:
        student.get_submodule(name).register_forward_pre_hook(_contiguous)
    student.to(memory_format=torch.channels_last)


@contextmanager
def plain_format(student: nn.Module, channels_last: bool) -> Iterator[None]:
    """Initialise a student as in the plain format.

    Random numbers are drawn in the order of the memory.

    Args:
        student: Changed in place.
        channels_last: Whether that is its format, before and after.
    """
    if channels_last:
        student.to(memory_format=torch.contiguous_format)
    yield
    if channels_last:
        student.to(memory_format=torch.channels_last)


def images_channels_last(images: Tensor) -> Tensor:
    """Return images in channels_last.

    Args:
        images: (N, C, H, W).
    """
    return images.contiguous(memory_format=torch.channels_last)


def _operators(module: nn.Module) -> List[str]:
    """Return the operators of mmcv that a module is, or inherits from."""
    kinds = (f'{c.__module__}.{c.__qualname__}' for c in type(module).__mro__)
    return [kind for kind in kinds if kind.startswith(_OPERATORS)]


def _contiguous(module: nn.Module, args: Tuple[Any, ...]) -> Tuple[Any, ...]:
    return (args[0].contiguous(), *args[1:])
