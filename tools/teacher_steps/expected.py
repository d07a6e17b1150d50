"""What a config expects of its teacher."""
import math
from numbers import Real
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

# A part of the images must tell so much of the metric's scale, a tenth.
_COARSEST = 0.1


class Expected(NamedTuple):
    """A config's ``teacher_metric``.

    Args:
        name: Name of the metric, as the evaluator prints it.
        value: What the teacher reaches, in the metric's unit.
        tolerance: How much less is accepted, in that unit. None: 0.005 of
            the metric's largest value, which is 1 or, if the expected value
            is larger than 1, 100.
    """

    name: str
    value: float
    tolerance: Optional[float] = None

    @property
    def scale(self) -> float:
        """The largest value of the metric."""
        return 100.0 if self.value > 1 else 1.0

    @property
    def least_images(self) -> int:
        """How many images tell a tenth of the scale."""
        return math.ceil(4 * self._variance / _COARSEST**2)

    def accepted_shortfall(self, images: int, total: int) -> float:
        """Return how much less than the value is accepted.

        Of a part of the images at least two standard errors, as if each
        were a hit or a miss: right for an accuracy, generous for an mAP.

        Args:
            images: Number of images that are measured.
            total: Number of images that the value was measured on.

        Raises:
            ValueError: So few images tell too little.
        """
        allowed = self.tolerance
        if allowed is None:
            allowed = 0.005 * self.scale
        if images < total:
            error = 2 * math.sqrt(self._variance / images) * self.scale
            if images < self.least_images and error > (self.tolerance or 0):
                raise ValueError(
                    f'--images {images} tells too little: by chance alone '
                    f'{self.name} may be {error:.2g} less than '
                    f'{self.value:.4g} on so few; take at least '
                    f'{self.least_images} of the {total}, or say with '
                    '--tolerance what you accept.')
            allowed = max(allowed, error)
        return allowed

    @property
    def _variance(self) -> float:
        """Variance of a hit, in shares of the scale."""
        share = min(self.value / self.scale, 1.0)
        return share * (1 - share)


def read_expected(cfg: Config) -> Optional[Expected]:
    """Return the config's ``teacher_metric``, None if it has none.

    Args:
        cfg: Config of the distillation.

    Raises:
        ValueError: It is something else than a name and numbers.
    """
    given = cfg.get('teacher_metric')
    if given is None:
        return None
    try:
        expected = Expected(**given)
    except TypeError:
        raise ValueError(
            'teacher_metric must have a name and a value, and may have a '
            f'tolerance, got {given}.') from None
    if not _is_number(expected.value) or expected.value <= 0:
        raise ValueError(
            'teacher_metric.value must be a number larger than 0, what the '
            f'evaluator prints of a good teacher, got {expected.value!r}.')
    if expected.tolerance is not None and (
            not _is_number(expected.tolerance) or expected.tolerance < 0):
        raise ValueError(
            'teacher_metric.tolerance must be a number, at least 0, in the '
            f'unit of the value, got {expected.tolerance!r}.')
    return expected


def _is_number(value: Any) -> bool:
    return (isinstance(value, Real) and not isinstance(value, bool)
            and math.isfinite(value))
