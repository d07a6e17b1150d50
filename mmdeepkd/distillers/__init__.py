"""The task-independent half of a distiller."""
from .base_distiller import BaseDistiller
from .class_map import Classes, ClassMap, ClassMapping
from .features import (
    MapInfo,
    Place,
    as_maps,
    maps_of,
    match_levels,
    pair_maps,
    probe_maps,
    record_output,
)
from .model_config import resolve_model_config, student_config
from .num_logits import check_num_logits
from .pixels import PixelFormat, convert_pixels
from .single_value import explain_single_value
from .speedup import Root
from .topk import check_topk

__all__ = [
    'BaseDistiller', 'ClassMap', 'ClassMapping', 'Classes', 'MapInfo',
    'PixelFormat', 'Place', 'Root', 'as_maps', 'check_num_logits',
    'check_topk', 'convert_pixels', 'explain_single_value', 'maps_of',
    'match_levels', 'pair_maps', 'probe_maps', 'record_output',
    'resolve_model_config', 'student_config'
]
