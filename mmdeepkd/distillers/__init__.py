"""The task-independent half of a distiller."""
from .base_distiller import BaseDistiller
from .model_config import resolve_model_config, student_config
from .pixels import PixelFormat, convert_pixels
from .topk import check_topk

__all__ = [
    'BaseDistiller', 'PixelFormat', 'check_topk', 'convert_pixels',
    'resolve_model_config', 'student_config'
]
