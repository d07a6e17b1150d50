"""The ways to run our step."""
from typing import Any, Dict, NamedTuple, Type

from .ours import Ours

# Floating-point sums in another order, then through a network.
EXACT = 1e-3
HALF = 5e-2


class Variant(NamedTuple):
    """One way to run our step.

    Attributes:
        title: Name in the tables.
        options: Arguments of the distiller.
        tolerance: Of the first step's losses, relative.
        kind: The step.
        detailed: Whether parts and memory are measured.
    """

    title: str
    options: Dict[str, Any]
    tolerance: float = EXACT
    kind: Type[Ours] = Ours
    detailed: bool = False


def speedups(student: bool = True, **teacher: Any) -> Dict[str, Any]:
    """Return the arguments that speed a distiller up.

    Args:
        student: Whether the student is in channels_last.
        teacher: What is changed in ``teacher_speedup``.
    """
    chosen = dict(channels_last=True, fold_bn=True)
    return dict(channels_last=student, teacher_speedup={**chosen, **teacher})
