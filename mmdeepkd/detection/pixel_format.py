"""The pixels that a detector reads."""
from mmengine.model import ImgDataPreprocessor
from torch import nn

from mmdeepkd.distillers import PixelFormat


def pixel_format(model: nn.Module, role: str) -> PixelFormat:
    """Read the pixel format off a detector's preprocessor.

    Args:
        model: Student or teacher.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        TypeError: Its preprocessor has none.
    """
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, ImgDataPreprocessor):
        raise TypeError(
            f'the {role} has a {type(preprocessor).__name__}, '
            'which says nothing of mean, std and channel order: give its '
            "config data_preprocessor=dict(type='mmdet.DetDataPreprocessor', "
            '...).')
    mean, std = (0.0, ) * 3, (1.0, ) * 3
    if preprocessor._enable_normalize:
        mean = tuple(preprocessor.mean.flatten().tolist())
        std = tuple(preprocessor.std.flatten().tolist())
    return PixelFormat(mean, std, preprocessor._channel_conversion,
                       preprocessor.pad_value, preprocessor.pad_size_divisor)
