"""What a module gives after a change, beside what it gave before."""
from typing import Any, Callable, List

import torch

from .options import Speedup
from .tensors import relative_difference, tensors_in

# What float32 may differ by on the CPU, where rounding gives 1e-6 to 1e-4;
# elsewhere convolutions may be computed in TF32, whose eps is 1e-3.
_TOLERANCE = 1e-3
_TOLERANCE_ELSEWHERE = 1e-2
# And coarser types, in units of their eps.
_ROUNDINGS = 16


def tolerance(device: str, dtypes: List[torch.dtype]) -> float:
    """Return the largest relative difference that rounding explains.

    Args:
        device: Its type, such as ``'cpu'``.
        dtypes: What is computed in.
    """
    floor = _TOLERANCE if device == 'cpu' else _TOLERANCE_ELSEWHERE
    return max(floor, *(_ROUNDINGS * torch.finfo(d).eps for d in dtypes))


class Comparison:
    """Compares what a part of a teacher gives with what it gave before.

    Args:
        name: Its name in the teacher, for messages.
        expected: What it gave.

    Raises:
        TypeError: There is no floating tensor in it.
    """

    def __init__(self, name: str, expected: Any) -> None:
        if not any(t.is_floating_point() for t in tensors_in(expected)):
            raise TypeError(
                f'teacher_speedup cannot see the tensors in what the {name} '
                f'of the teacher gives, a {type(expected).__name__}, so that '
                'nothing would be checked: let it give tensors in tuples, '
                'lists or dicts, or set teacher_speedup=None.')
        self._name = name
        self._expected = expected
        #: The largest relative difference that was found last.
        self.difference = 0.0

    def require(self, run: Callable[[], Any], changes: Speedup,
                tolerance: float) -> None:
        """Raise unless a run gives what was expected.

        Args:
            run: Runs the part and returns what it gives.
            changes: What may be at fault, for messages.
            tolerance: The largest relative difference accepted.

        Raises:
            RuntimeError: It fails, or gives something else.
        """
        found = self._attempt(run, changes)
        self.difference = relative_difference(self._expected, found)
        # NaN is not <= either.
        if self.difference <= tolerance:
            return
        raise RuntimeError(
            f'teacher_speedup changes what the {self._name} of the teacher '
            f'gives by {self.difference:.2g} of the largest value on the '
            f'first batch, where rounding explains {tolerance:.2g}: in '
            f'teacher_speedup set {changes.remedy()}.')

    def _attempt(self, run: Callable[[], Any], changes: Speedup) -> Any:
        try:
            return run()
        except torch.cuda.OutOfMemoryError:
            # Says itself what is wrong, and who waits for it knows its class.
            raise
        # A compiler fails with errors of many kinds.
        except Exception as error:
            raise RuntimeError(
                f'teacher_speedup cannot run the {self._name} of the teacher '
                f'({type(error).__name__}: {error}): in teacher_speedup set '
                f'{changes.remedy()}.') from error
