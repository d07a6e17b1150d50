"""All traps of an OpenMMLab environment.

A trap is a function of the facts and the nearest tested stack. It returns a
Finding, with the command that fixes it, or None.
"""
from .base_traps import numpy_version, opencv_import, setuptools_version
from .openmmlab_traps import (
    mmcv_ops,
    mmcv_version,
    mmdet_version,
    mmengine_version,
    mmpretrain_version,
)
from .torch_traps import (
    gpu,
    python_version,
    torch_builds,
    torch_import,
    torch_missing,
    torch_pair,
    torch_too_old,
)

# In the order in which they are to be fixed.
TRAPS = (python_version, setuptools_version, torch_missing, torch_too_old,
         torch_import, torch_pair, torch_builds, numpy_version, opencv_import,
         mmengine_version, mmcv_version, mmcv_ops, mmdet_version,
         mmpretrain_version, gpu)


def find(facts, stack):
    """Return the findings of all traps, in the order of their repair."""
    if facts.python < (3, 8):
        # It cannot tell what is installed either.
        return [python_version(facts, stack)]
    found = [trap(facts, stack) for trap in TRAPS]
    return [finding for finding in found if finding is not None]
