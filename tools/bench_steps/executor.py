"""Trains the runs that have no result yet, and tells how far it is."""
import functools
import importlib
import json
import shutil
import time
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from .pool import Task, run_tasks
from .runs import Result, Run, identify, kind, resolve
from .training import CHECKPOINT, train
from .trials import attempt


class Executor:
    """Keeps the results of runs in a folder, one folder for each.

    Args:
        root: The folder of all runs.
        workers: How many to train at a time.
        say: Receives a line for every run.

    Attributes:
        trained: Number of runs trained by this object.
        expected: Number of runs that may come after the present ones, for
            the estimate of the remaining time.
    """

    def __init__(self, root: Path, workers: int,
                 say: Callable[[str], None]) -> None:
        self.root = root
        self.workers = workers
        self.say = say
        self.trained = 0
        self.expected = 0
        self._seconds: List[float] = []

    def __call__(self, runs: Sequence[Run],
                 beside: Sequence[Task] = ()) -> Dict[Run, Result]:
        """Return the result of every run; train those without.

        Args:
            runs: The runs.
            beside: Other work, begun before them and done beside them.
        """
        # Once each: settings spelt differently may be the same training.
        unique = {identify(run): run for run in reversed(runs)}
        missing = [run for run in reversed(list(unique.values()))
                   if not self.done(run)]
        tasks = {self.task(run): run for run in missing}
        left = len(missing)

        def done(task: Task) -> None:
            nonlocal left
            if task not in tasks:
                self.say(f'  {time.strftime("%H:%M:%S")} {task.name}')
                return
            left -= 1
            self.trained += 1
            self._report(tasks[task], left)

        run_tasks([*beside, *tasks], self.workers, done)
        return {run: self._result(run) for run in runs}

    def checkpoint(self, run: Run) -> Path:
        """Return the file with the weights of a teacher's run."""
        return self.folder(run) / CHECKPOINT

    def folder(self, run: Run) -> Path:
        """Return the folder of all that a run leaves."""
        return self.root / identify(run)

    def all_results(self, runs: Sequence[Run]) -> List[Result]:
        """Return the results of finished runs, of equal ones once."""
        unique = {identify(run): run for run in runs}
        return [self._result(run) for run in unique.values()]

    def done(self, run: Run) -> bool:
        """Say whether a run has its result."""
        return self._file(run).is_file()

    def task(self, run: Run) -> Task:
        """Return the training of a run, as work to be done beside others."""
        folder = self.folder(run)
        # What an interrupted run has left.
        shutil.rmtree(folder, ignore_errors=True)
        for module in kind(run).modules:
            importlib.import_module(module)
        cfg = resolve(run)
        if run.teacher is not None:
            cfg.model.teacher_checkpoint = str(self.root / run.teacher /
                                               CHECKPOINT)
        work = functools.partial(
            train, cfg, kind(run), run.test, _is_teacher(run), folder)
        if not _is_teacher(run):
            work = functools.partial(attempt, work, run.test, folder)
        return Task(describe(run), work, folder / 'output.txt')

    def _file(self, run: Run) -> Path:
        return self.folder(run) / 'result.json'

    def _result(self, run: Run) -> Result:
        return Result(**json.loads(self._file(run).read_text()))

    def _report(self, run: Run, left: int) -> None:
        result = self._result(run)
        self._seconds.append(result.seconds)
        recent = self._seconds[-20:]
        minutes = (sum(recent) / len(recent) * (left + self.expected) /
                   self.workers / 60)
        test = '' if result.test is None else f', test {result.test:.1f}'
        self.say(f'  {time.strftime("%H:%M:%S")} {describe(run)}: '
                 f'val {result.val:.1f}{test} ({result.seconds:.0f} s); '
                 f'{left} to go here, about {minutes:.0f} min in all')


def describe(run: Run) -> str:
    """Name a run in one line."""
    rate = '' if run.rate is None else f' lr {run.rate:g}'
    changed = ''.join(f' {key.split(".")[-1]}={value}'
                      for key, value in run.options)
    return f'{Path(run.config).stem}{changed}{rate} seed {run.seed}'


def _is_teacher(run: Run) -> bool:
    return Path(run.config).name.startswith('teacher_')
