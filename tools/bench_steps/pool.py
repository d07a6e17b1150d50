"""Runs tasks in forked processes, a few at a time."""
import multiprocessing
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import connection
from pathlib import Path
from typing import Callable, Dict, Iterable, NamedTuple


class Task(NamedTuple):
    """What a process does, and the file that its output goes to."""

    name: str
    work: Callable[[], None]
    log: Path


class TaskError(Exception):
    """A task failed; the message names its log."""


def run_tasks(tasks: Iterable[Task], workers: int,
              done: Callable[[Task], None]) -> None:
    """Run every task in a process of its own, forked from this one.

    Forked, so that what this process has imported is there at once.

    Args:
        tasks: The tasks, started in this order.
        workers: How many run at a time.
        done: Called with every task that has succeeded, as it ends.

    Raises:
        TaskError: A task failed; those still running have been ended.
    """
    fork = multiprocessing.get_context('fork')
    waiting = list(tasks)[::-1]
    running: Dict[int, tuple] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.pop()
                process = fork.Process(
                    target=_logged, args=(task, ), daemon=True)
                process.start()
                running[process.sentinel] = (process, task)
            for sentinel in connection.wait(list(running)):
                process, task = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise TaskError(f'{task.name} failed; its log is '
                                    f'{task.log}')
                done(task)
    finally:
        for process, _ in running.values():
            process.terminate()
            process.join()


def _logged(task: Task) -> None:
    task.log.parent.mkdir(parents=True, exist_ok=True)
    with task.log.open('w') as log:
        # The descriptors too: libraries print below Python.
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        with redirect_stdout(log), redirect_stderr(log):
            try:
                task.work()
            except Exception:
                traceback.print_exc()
                sys.exit(1)
