"""A schedule of K of which something was proposed."""
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from .topk_settings import Phases, Wish


class Choice(NamedTuple):
    """A schedule and its reasons, empty where it was given.

    Attributes:
        static_k: K of the middle phase.
        phases: When it begins and ends.
        why_static_k: Why this K.
        why_phases: Why these phases.
    """

    static_k: int
    phases: Phases
    why_static_k: str
    why_phases: str


def stored(choice: Choice, wish: Wish) -> Dict[str, Any]:
    """Return a choice as plain containers, for a checkpoint."""
    return dict(wish=_plain(wish), choice=_plain(choice))


def restored(state: Any, wish: Wish) -> Optional[Choice]:
    """Return the choice in a checkpoint, if the wish is still the same.

    Args:
        state: From :func:`stored`, or None.
        wish: The present one.
    """
    if state is None or state['wish'] != _plain(wish):
        return None
    static_k, phases, *why = state['choice']
    return Choice(static_k, (phases[0], phases[1]), *why)


def remarks(choice: Choice, wish: Wish, initial_k: int,
            steps: int) -> List[str]:
    """Return what is odd about a schedule of which something was proposed.

    Args:
        choice: The schedule.
        wish: What was given.
        initial_k: The K to begin with.
        steps: Epochs or iterations of the training, of which each sets K.
    """
    found = []
    # Of a K of 1 the hook speaks itself.
    if choice.phases[0] > 0 and 1 < choice.static_k == initial_k:
        found.append(
            f'K begins with {initial_k}, the static K itself, so that it '
            'does not grow in the first phase: set a smaller initial_ratio')
    # Those whose progress, from 0 to 1, is beyond the second phase.
    last = steps - 1 - math.floor(choice.phases[1] * (steps - 1))
    if wish.phases is None and last < 2:
        found.append(
            'the last phase, in which K grows to all classes, has fewer than '
            f'two of the {steps} steps: give phases as numbers, or a smaller '
            'share')
    return found


def _plain(values: Sequence[Any]) -> List[Any]:
    return [list(v) if isinstance(v, tuple) else v for v in values]
