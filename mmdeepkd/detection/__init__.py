"""Distillation of mmdet's detectors; the only room that imports mmdet."""
from importlib.util import find_spec

if find_spec('mmdet') is not None:
    from .detector_distiller import DetectorDistiller
else:
    from .missing import DetectorDistiller

__all__ = ['DetectorDistiller']
