"""All traps of an OpenMMLab environment.

A trap is a function of the facts and the nearest tested stack. It returns a
Finding, with the command that fixes it, or None.
"""
from .base_traps import (
    broken_packages,
    numpy_import,
    numpy_version,
    opencv_import,
    setuptools_version,
)
from .openmmlab_traps import (
    mmcv_ops,
    mmcv_version,
    mmdet_version,
    mmengine_import,
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
TRAPS = (setuptools_version, torch_missing, torch_too_old, torch_import,
         torch_pair, torch_builds, numpy_version, numpy_import, opencv_import,
         mmengine_version, mmengine_import, mmcv_version, mmcv_ops,
         mmdet_version, mmpretrain_version, gpu)
# Without these mmcv does not build.
_NEEDED_TO_BUILD = ((setuptools_version, {'setuptools'}),
                    (torch_missing, {'torch', 'torchvision'}))


def find(facts, stack):
    """Return the findings of all traps, in the order of their repair."""
    python = python_version(facts, stack)
    if python is not None:
        # All else is installed anew, for another Python.
        return [python]
    if facts.broken:
        # What else is wrong is known when these are whole.
        first = [trap(facts, stack) for trap, names in _NEEDED_TO_BUILD
                 if not names & set(facts.broken)]
        return list(filter(None, first)) + broken_packages(facts, stack)
    found = [trap(facts, stack) for trap in TRAPS]
    return [finding for finding in found if finding is not None]
