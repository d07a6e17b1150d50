"""The demo: a teacher, a plain student and a DeepKD student on digits.

    make demo            (or: python tools/demo.py [--work-dir work_dirs/demo])

Everything is made here, from random initialisation: the data set, the three
trainings (about ten minutes on two cores), one table, two pictures. The
command fails when the numbers are not what they must be.
"""
import argparse
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Dict

from demo_steps.metrics import History, Row, complaint, read_history, table
from demo_steps.training import ROOT, Job, TrainingError, train

from mmdeepkd.datasets import make_digits_detection

_STUDENT = 'configs/digits/baseline_frcnn_r18w16.py'
_TEACHER = 'configs/digits/teacher_frcnn_r18w32.py'
JOBS = (Job('teacher', 'teacher', _TEACHER, _TEACHER),
        Job('plain', 'plain student', _STUDENT, _STUDENT),
        Job('deepkd', 'DeepKD student',
            'configs/digits/deepkd_frcnn_r18w32_r18w16.py', _STUDENT))
_SCENES_DRAWN = 5


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo')
    args = parser.parse_args()
    work_dir = Path(args.work_dir).resolve()
    try:
        run(work_dir)
    except (TrainingError, OSError) as error:
        sys.exit(f'demo: {error}')
    except KeyboardInterrupt:
        sys.exit('demo: interrupted.')


def run(work_dir: Path) -> None:
    """Make the data, train, report; raise or exit on any failure."""
    start = time.time()
    # The configs name data/digits relative to the repository.
    os.chdir(ROOT)
    data = Path('data/digits')
    say(f'[1/5] the digits set in {data}')
    make_digits_detection(data)
    histories: Dict[str, History] = {}
    for step, job in enumerate(JOBS, 2):
        say(f'[{step}/5] training the {job.title}: {job.config}')
        train(job, work_dir / job.name, overrides(job, work_dir), show=say)
        histories[job.title] = read_history(work_dir / job.name)
    say('[5/5] detecting and drawing')
    report(histories, data, work_dir)
    say(f'demo: {(time.time() - start) / 60:.1f} minutes; the pictures and '
        f'the table are in {work_dir}')
    wrong = complaint(histories['teacher'].box_map,
                      histories['plain student'].box_map)
    if wrong:
        sys.exit(f'demo: {wrong}')


def overrides(job: Job, work_dir: Path) -> list:
    """Return what a job's config must know about this demo."""
    if job.name != 'deepkd':
        return []
    teacher = work_dir / 'teacher' / 'last_checkpoint'
    return [f'model.teacher_checkpoint={teacher.read_text().strip()}']


def report(histories: Dict[str, History], data: Path, work_dir: Path) -> None:
    """Print the table and write it with the two pictures."""
    # mmdet takes seconds to import, and prints; only this step needs it.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    from demo_steps import detecting, pictures
    scenes = detecting.load_scenes(data, _SCENES_DRAWN)
    columns = {'ground truth': scenes.truth}
    rows = []
    for job in JOBS:
        history = histories[job.title]
        detector = detecting.load_detector(job, work_dir / job.name)
        columns[job.title] = detecting.detect(detector, scenes.paths)
        rows.append(
            Row(job.title, history.box_map, history.ap50,
                detecting.count_parameters(detector), history.iteration_ms))
    pictures.draw_grid(columns, scenes.images, work_dir / 'detections.png')
    pictures.draw_curves(histories, 'DeepKD student', work_dir / 'curves.png')
    (work_dir / 'results.md').write_text(table(rows, markdown=True) + '\n')
    say('\n' + table(rows) + '\n')


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
