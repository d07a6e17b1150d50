"""Watches one DeepKD training of a detector on the digits scenes."""
import functools
import hashlib
import json
import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, NamedTuple

from mmengine.config import Config

from ..bench_steps.arms import Options
from ..bench_steps.curves import Reports
from ..bench_steps.pool import Task
from ..bench_steps.runs import ROOT, code_hash
from ..demo_steps.metrics import read_history
from ..demo_steps.training import Job, train
from .streams import read_reports

TEACHER = 'configs/digits/teacher_frcnn_r18w32.py'
STUDENT = 'configs/digits/deepkd_frcnn_r18w32_r18w16.py'
_PACKAGES = ('torch', 'mmengine', 'mmdet', 'mmcv', 'numpy', 'scikit-learn')


class Detected(NamedTuple):
    """What the two trainings gave; mAP in per cent."""

    teacher_map: float
    student_map: float
    reports: Reports


class Detection:
    """The teacher's training and then the student's, by tools/train.py.

    Kept in a folder named by a hash of configs, code and versions.

    Attributes:
        trainings: How many there are.

    Args:
        root: The folder of all runs.
        options: Overrides of the student's config.
        short: Overrides of both configs.
    """

    trainings = 2

    def __init__(self, root: Path, options: Options,
                 short: Options = ()) -> None:
        self.options = options
        self.short = short
        self.folder = root / f'detection_{self._identify()}'

    @property
    def task(self) -> Task:
        """The work, as a task."""
        return Task('the detectors', self._train, self.folder / 'output.txt')

    @property
    def done(self) -> bool:
        """Whether both have been trained."""
        return self._finished.is_file()

    def result(self) -> Detected:
        """Read what the trainings gave."""
        return Detected(
            *(100 * _box_map(self.folder / name)
              for name in ('teacher', 'student')),
            read_reports(self.folder / 'student'))

    @property
    def seconds(self) -> float:
        """Wall time of both."""
        return float(json.loads(self._finished.read_text())['seconds'])

    @property
    def _finished(self) -> Path:
        return self.folder / 'finished.json'

    def _train(self) -> None:
        start = time.time()
        for name in ('teacher', 'student'):
            # What an interrupted training has left.
            shutil.rmtree(self.folder / name, ignore_errors=True)
        teacher = self.folder / 'teacher'
        train(Job('teacher', 'teacher', TEACHER, TEACHER), teacher,
              _arguments(self.short))
        checkpoint = (teacher / 'last_checkpoint').read_text().strip()
        train(Job('student', 'student', STUDENT, STUDENT),
              self.folder / 'student', [
                  f'model.teacher_checkpoint={checkpoint}',
                  *_arguments((*self.options, *self.short))])
        draft = self.folder / 'finished.draft'
        draft.write_text(json.dumps(dict(seconds=time.time() - start)))
        os.replace(draft, self._finished)

    def _identify(self) -> str:
        facts = dict(_shipped(), options=[self.options, self.short])
        # Not where the repository lies.
        text = json.dumps(facts, sort_keys=True).replace(str(ROOT), '')
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=None)
def _shipped() -> Dict[str, Any]:
    return dict(
        configs=[Config.fromfile(str(ROOT / path)).to_dict()
                 for path in (TEACHER, STUDENT)],
        packages={name: version(name) for name in _PACKAGES},
        code=code_hash(sorted((ROOT / 'mmdeepkd').rglob('*.py'))))


def _box_map(work_dir: Path) -> float:
    # Where nothing at all is detected mmdet measures nothing.
    val = read_history(work_dir).val
    return val[-1][1] if val else 0.0


def _arguments(options: Options) -> list:
    return [f'{key}={value}' for key, value in options]
