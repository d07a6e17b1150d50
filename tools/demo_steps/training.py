"""Runs tools/train.py and shows the lines of its log that matter."""
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]

_TRAIN_LINE = re.compile(
    r'Epoch\(train\)\s+\[(?P<epoch>\d+)\]\[\s*(?P<done>\d+)/(?P<all>\d+)\]'
    r'.*? eta: (?P<eta>\S+).*? loss: (?P<loss>\S+)')
_VAL_LINE = re.compile(
    r'Epoch\(val\)\s+\[(?P<epoch>\d+)\].*?coco/bbox_mAP: (?P<map>-?[\d.]+)')


class Job(NamedTuple):
    """One training of the demo."""

    name: str
    title: str
    config: str
    # The config that reads the checkpoint: a distilled student is a student.
    plain_config: str


class TrainingError(Exception):
    """A training ended badly; the message names its log."""


def train(job: Job,
          work_dir: Path,
          options: Optional[List[str]] = None,
          script: str = 'tools/train.py',
          show: Callable[[str], None] = print) -> None:
    """Train one network in a process of its own.

    Args:
        job: What to train.
        work_dir: Its work directory; all output goes to ``output.txt`` there.
        options: ``key=value`` overrides of the config.
        script: Training script, relative to the repository.
        show: Receives one line per logged interval and per validation.

    Raises:
        TrainingError: The script failed, or Ctrl-C was pressed.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    log = work_dir / 'output.txt'
    command = [sys.executable, script, job.config, '--work-dir', str(work_dir)]
    if options:
        command += ['--cfg-options', *options]
    last = ''
    with log.open('w') as file, subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True) as process:
        try:
            for line in process.stdout or ():
                file.write(line)
                last = line.strip() or last
                digest = essential(line)
                if digest:
                    show(f'  {job.name}: {digest}')
        except KeyboardInterrupt:
            process.terminate()
            raise TrainingError(
                f'training the {job.title} was interrupted; its log is {log}'
            ) from None
    if process.returncode:
        raise TrainingError(
            f'training the {job.title} failed ({last}); its log is {log}')


def essential(line: str) -> Optional[str]:
    """Return the progress that a line of MMEngine's log tells, if any."""
    found = _TRAIN_LINE.search(line)
    if found:
        return (f'epoch {found["epoch"]}, iteration {found["done"]}/'
                f'{found["all"]}, loss {float(found["loss"]):.3f}, '
                f'{found["eta"]} left')
    found = _VAL_LINE.search(line)
    if found:
        box_map = 100 * float(found['map'])
        return f'epoch {found["epoch"]}, box mAP {box_map:.1f}'
    return None
