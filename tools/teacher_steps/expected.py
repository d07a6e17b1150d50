"""What a config expects of its teacher, and the verdict on what it reaches."""
import math
from typing import Dict, NamedTuple, Optional

from mmengine.config import Config


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

    def accepted_shortfall(self, images: int, total: int) -> float:
        """Return how much less than the value is accepted.

        Of a part of the images at least two standard errors, as if each
        were a hit or a miss: right for an accuracy, generous for an mAP.

        Args:
            images: Number of images that are measured.
            total: Number of images that the value was measured on.
        """
        allowed = self.tolerance
        if allowed is None:
            allowed = 0.005 * self.scale
        if images < total:
            share = min(max(self.value / self.scale, 0.0), 1.0)
            error = math.sqrt(share * (1 - share) / images)
            allowed = max(allowed, 2 * error * self.scale)
        return allowed


def read_expected(cfg: Config) -> Optional[Expected]:
    """Return the config's ``teacher_metric``, None if it has none."""
    given = cfg.get('teacher_metric')
    if given is None:
        return None
    try:
        return Expected(**given)
    except TypeError:
        raise ValueError(
            'teacher_metric must have a name and a value, and may have a '
            f'tolerance, got {given}.') from None


def report(metrics: Dict[str, float], expected: Optional[Expected],
           tolerance: Optional[float], images: int, total: int) -> None:
    """Print the metrics and the verdict.

    Args:
        metrics: What the evaluator gave.
        expected: What the config expects.
        tolerance: Accepted shortfall, instead of that of ``expected``.
        images: Number of images that were measured.
        total: Number of images in the set.

    Raises:
        ValueError: The teacher falls short, or there is no such metric.
    """
    print(f'\nthe teacher on {images} of {total} validation images:')
    for name, value in metrics.items():
        print(f'  {name}: {value:.4g}')
    if expected is None:
        print('The config expects no value: teacher_metric = '
              'dict(name=..., value=...) sets one.')
        return
    if expected.name not in metrics:
        raise ValueError(
            f'teacher_metric names {expected.name}, and the evaluator gives '
            f'{", ".join(metrics)}: name one of these.')
    value = metrics[expected.name]
    allowed = tolerance
    if allowed is None:
        allowed = expected.accepted_shortfall(images, total)
    said = (f'{expected.name} is {value:.4g} and the config expects '
            f'{expected.value:.4g}, less at most {allowed:.3g}'
            f'{" on a part of the images" if images < total else ""}')
    # A NaN falls short too.
    if not value >= expected.value - allowed:
        raise ValueError(
            f'the teacher falls short: {said}; compare its checkpoint, its '
            'data_preprocessor and the validation data with those that the '
            'value was measured with, or set teacher_metric to what your '
            'own teacher reaches.')
    print(f'The teacher is as expected: {said}.')
