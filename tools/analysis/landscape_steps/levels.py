"""One scale for the contours of all checkpoints."""
from typing import Any, Dict, List

import numpy as np

_LEVELS = 15
# From how many times the lowest loss on the logarithm is shown.
_WIDE = 10


def shared_levels(planes: List[Dict[str, Any]]) -> List[float]:
    """Return the contour levels of all two-dimensional slices together.

    Args:
        planes: As the JSON file has them.

    Returns:
        From the lowest loss to the highest, evenly, or evenly in their
        logarithm where :func:`is_wide`.
    """
    found = np.concatenate([
        np.array(each['loss'], float).ravel() for each in planes])
    found = found[np.isfinite(found)]
    low, high = float(found.min()), float(found.max())
    # Levels must rise, even where the loss does not.
    high = max(high, low + 1e-3 * max(abs(low), 1.0))
    space = np.geomspace if is_wide(low, high) else np.linspace
    return [low, *space(low, high, _LEVELS)[1:-1].tolist(), high]


def is_wide(low: float, high: float) -> bool:
    """Return whether a range of losses is shown by its logarithm."""
    return low > 0 and high > _WIDE * low
