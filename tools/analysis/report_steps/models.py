"""The detectors of some runs, and the teachers they learnt from."""
from pathlib import Path
from typing import (
    Any,
    Callable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
)

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.distillers.teacher import load_strictly
from tools.common import missing_paths
from tools.export_steps.evaluated import build_model
from tools.export_steps.plain_config import plain_config
from tools.export_steps.weights import load_student, pick_tensors

from .runs import Run


class Detector(NamedTuple):
    """A trained detector, not yet built."""

    name: str
    # teacher, plain or distilled.
    kind: str
    # With the data it is to be evaluated on.
    cfg: Config
    checkpoint: str
    build: Callable[[], nn.Module]


def is_detector(run: Run) -> bool:
    """Whether the run trains a detector that COCO's metric evaluates."""
    return coco_metric(run.cfg or {}) is not None


def coco_metric(cfg: Any) -> Optional[Any]:
    """Return the config of the first COCO metric of boxes, if any is."""
    metrics = cfg.get('val_evaluator') or []
    metrics = [metrics] if isinstance(metrics, dict) else metrics
    return next((
        metric for metric in metrics
        if str(metric.get('type')).split('.')[-1] == 'CocoMetric'
        and 'bbox' in _listed(metric.get('metric', 'bbox'))), None)


def _listed(names: Any) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def check_data(cfg: Config) -> None:
    """Raise FileNotFoundError if the validation set is not there."""
    for key, path in missing_paths(cfg.val_dataloader.dataset,
                                   'val_dataloader.dataset'):
        raise FileNotFoundError(
            f'the validation set is not there: {path} ({key}, relative to '
            'the folder that the report is made in).')


def find_detectors(runs: Sequence[Run]) -> List[Detector]:
    """Return the teachers, then the detectors of the runs.

    A teacher is that of a distiller's config. Where it is the last checkpoint
    of one of the runs it is there once, under the name of this run.

    Args:
        runs: Of detectors, with checkpoints.
    """
    teachers = list(_teachers(runs))
    known = {_real(teacher.checkpoint) for teacher in teachers}
    students = []
    for run in runs:
        path = _real(str(run.checkpoint))
        if path in known:
            teachers = [t._replace(name=run.name) if
                        _real(t.checkpoint) == path else t for t in teachers]
        else:
            students.append(Detector(
                run.name, 'distilled' if 'student' in run.cfg.model
                else 'plain', run.cfg, str(run.checkpoint),
                _student_builder(run)))
    return [*teachers, *students]


def _teachers(runs: Sequence[Run]) -> Iterator[Detector]:
    """Yield each teacher once."""
    found = {}
    for run in runs:
        checkpoint = run.cfg.model.get('teacher_checkpoint')
        if checkpoint:
            found.setdefault(_real(checkpoint), (run, checkpoint))
    for run, checkpoint in found.values():
        name = 'teacher' if len(found) == 1 else f'teacher of {run.name}'
        yield Detector(name, 'teacher', run.cfg, checkpoint,
                       _teacher_builder(run, checkpoint))


def _student_builder(run: Run) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = build_model(plain_config(run.cfg))
        path = str(run.checkpoint)
        loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
        load_student(model, pick_tensors(loaded, path, raw=False), path)
        return model

    return build


def _teacher_builder(run: Run, checkpoint: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = build_model(Config(dict(
            model=resolve_model_config(run.cfg.model.teacher, 'teacher'),
            default_scope=run.cfg.get('default_scope'))))
        load_strictly(model, checkpoint)
        return model

    return build


def _real(checkpoint: str) -> str:
    return checkpoint if '://' in checkpoint else str(
        Path(checkpoint).expanduser().resolve())
