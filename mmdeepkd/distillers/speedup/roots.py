"""Which parts of a teacher are made faster."""
from typing import List, NamedTuple

from torch import nn

from .accelerated import AcceleratedModule
from .options import Speedup


class Root(NamedTuple):
    """A dense part of a teacher: tensors in, tensors out.

    Attributes:
        name: Its name in the teacher, such as ``'backbone'``.
        contiguous: Whether what follows needs contiguous outputs.
    """

    name: str
    contiguous: bool


def accelerate(teacher: nn.Module, roots: List[Root],
               speedup: Speedup) -> None:
    """Replace the dense parts of a teacher; those already replaced stay.

    Each is changed when it first runs on a batch. A part that none of it
    makes faster is left alone.

    Args:
        teacher: Changed in place.
        roots: Its parts.
        speedup: What is done to them.
    """
    for root in roots:
        parent, _, own = root.name.rpartition('.')
        module = teacher.get_submodule(root.name)
        if isinstance(module, AcceleratedModule) or not _gains(
                module, speedup):
            continue
        wrapped = AcceleratedModule(module, root.name, speedup,
                                    root.contiguous)
        setattr(teacher.get_submodule(parent), own, wrapped.eval())


def is_accelerated(teacher: nn.Module) -> bool:
    """Return whether parts of a teacher have been replaced.

    Args:
        teacher: The teacher.
    """
    return any(isinstance(m, AcceleratedModule) for m in teacher.modules())


def _gains(module: nn.Module, speedup: Speedup) -> bool:
    dense = speedup.amp is not None or speedup.compile
    # The others are about convolutions.
    return any(dense or p.dim() == 4 for p in module.parameters())
