"""The verdict on what a teacher reaches."""
from numbers import Real
from typing import Any, Dict, Optional

from .expected import Expected

_COMPARE = ('compare its checkpoint, its data_preprocessor and the '
            'validation data with those')


def report(metrics: Dict[str, Any], expected: Optional[Expected],
           allowed: float, counted: str) -> None:
    """Print the metrics and the verdict.

    Args:
        metrics: What the evaluator gave.
        expected: What the config expects.
        allowed: Accepted shortfall.
        counted: Which images were measured.

    Raises:
        ValueError: The teacher finds nothing or falls short, the expected
            value is in another unit, or there is no such metric.
    """
    print(f'\nthe teacher on {counted}:')
    for name, value in metrics.items():
        shown = f'{value:.4g}' if isinstance(value, Real) else value
        print(f'  {name}: {shown}')
    _require_something(metrics)
    if expected is None:
        print('The config expects no value: teacher_metric = '
              'dict(name=..., value=...) sets one.')
        return
    if expected.name not in metrics:
        raise ValueError(
            f'teacher_metric names {expected.name}, and the evaluator gives '
            f'{", ".join(metrics)}: name one of these.')
    value = metrics[expected.name]
    _require_something({expected.name: value})
    said = (f'{expected.name} is {value:.4g} and the config expects '
            f'{expected.value:.4g}')
    if (value > 1) != (expected.value > 1):
        raise ValueError(
            'the teacher falls short, or only one of the two is in per cent: '
            f'{said}; write teacher_metric.value as the evaluator prints it, '
            f'or {_COMPARE} that the value was measured with.')
    said += f', less at most {allowed:.3g} on {counted}'
    if value < expected.value - allowed:
        raise ValueError(
            f'the teacher falls short: {said}; {_COMPARE} that the value '
            'was measured with, or set teacher_metric to what your own '
            'teacher reaches.')
    print(f'The teacher is as expected: {said}.')


def _require_something(metrics: Dict[str, Any]) -> None:
    """Raise if no metric is positive.

    mmdet gives -1 for what is not annotated, and nothing at all where the
    teacher finds nothing; a diverged model's is NaN.
    """
    numbers = {name: value for name, value in metrics.items()
               if isinstance(value, Real)}
    if any(value > 0 for value in numbers.values()):
        return
    shown = ', '.join(f'{name} is {value:.4g}'
                      for name, value in list(numbers.items())[:3])
    raise ValueError(
        f'the teacher finds nothing: {shown or "there is no metric"}; '
        f'{_COMPARE} that it was trained with.')
