"""The packages, the student, the teacher and where their weights are from."""
import platform
import sys
from pathlib import Path
from typing import Any, Iterable, List

from torch import nn

from mmdeepkd.checkpoints import LoadReport

from ..adapters import adapter_parameters
from .layout import Row

_PACKAGES = ('mmdeepkd', 'torch', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain')
# Options of a distiller that other rows show.
_ROWS = ('type', 'student', 'teacher', 'teacher_checkpoint', 'losses',
         'task_weight', 'data_preprocessor', 'teacher_speedup')
# This file is two levels below the package.
_PACKAGE = Path(__file__).resolve().parents[2]


def package_rows() -> List[Row]:
    """Return the versions of what is imported, and where this package is."""
    # None in sys.modules is how Python forbids an import.
    imported = {name: sys.modules.get(name) for name in _PACKAGES}
    versions = [
        f'{name} {module.__version__}' for name, module in imported.items()
        if module is not None
    ]
    return [
        ('versions', ', '.join(
            [*versions, f'Python {platform.python_version()}'])),
        ('package', str(_PACKAGE)),
    ]


def model_rows(model: Any, config: Any,
               reports: Iterable[LoadReport]) -> List[Row]:
    """Return the student, the teacher and what each file gave them.

    Args:
        model: A distiller, or a model to train without one.
        config: Its config, for the distiller's further options.
        reports: One for everything that was loaded.
    """
    rows = [('student', _describe(student_of(model)))]
    if student_of(model) is not model:
        rows.append(('teacher', _describe(model.teacher)))
        speedup = getattr(model, 'teacher_speedup', None)
        if speedup is not None:
            rows.append(('  teacher_speedup', speedup.describe()))
        rows.append(('distiller', f'{type(model).__name__}{_options(config)}'))
        rows += _adapter_rows(model)
    weights = [(f'  {report.what}', report.describe()) for report in reports]
    if all(label == '  teacher' for label, _ in weights):
        weights.append(('  student', 'its random initialisation, no file'))
    return [*rows, ('weights', ''), *weights]


def student_of(model: Any) -> nn.Module:
    """Return the student of a distiller, or another model itself.

    Args:
        model: It; others may have a ``student`` and mean something else.
    """
    return model.student if hasattr(model, 'load_reports') else model


def _options(config: Any) -> str:
    """Return the options of a distiller that have no row of their own."""
    given = [
        f'{key}={value}' for key, value in dict(config or {}).items()
        if key not in _ROWS
    ]
    return f' with {", ".join(given)}' if given else ''


def _adapter_rows(model: Any) -> List[Row]:
    """Return the networks of each feature loss, and what they cost."""
    if not adapter_parameters(model):
        return []
    texts = [f'{loss} at {", ".join(places)}: {_count(places)}'
             for loss, places in model.distill.items()]
    texts.append('in training alone: no prediction runs them, and '
                 'tools/export_student.py leaves them out')
    return list(zip(['adapters', *[''] * len(texts)], texts))


def _describe(model: nn.Module) -> str:
    name = type(model).__name__
    backbone = getattr(model, 'backbone', None)
    if backbone is not None:
        name += f' with {type(backbone).__name__}'
    return f'{name}: {_count(model)}'


def _count(model: nn.Module) -> str:
    """Return how many parameters a model has, and trains."""
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if trained == total:
        state = 'all trained'
    elif trained:
        state = f'{trained:,} trained'
    else:
        state = 'frozen'
    return f'{total:,} parameters, {state}'
