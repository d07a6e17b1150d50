"""One page about one or more trainings, to be opened offline.

    python tools/analysis/report.py work_dirs/demo/teacher work_dirs/demo/plain
        work_dirs/demo/deepkd

Reads what MMEngine and GSNRHook have logged, also of a training that still
runs, and writes report.html, which needs no other file, and its figures as
PNG. Of detectors it also runs the last checkpoints over the validation set
(AP by class, and boxes on some images), and of runs that distil features it
shows them on some images, unless --logs-only is given; start it where the
training was started, whose config has relative paths.
"""
import argparse
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import List, Sequence

ROOT = Path(__file__).resolve().parents[2]
# Also where the package is not installed.
sys.path.insert(0, str(ROOT))
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

from tools.analysis.report_steps import compared, streams  # noqa: E402
from tools.analysis.report_steps.charts import MAKER  # noqa: E402
from tools.analysis.report_steps.feature_curves import (  # noqa: E402
    feature_curves,
)
from tools.analysis.report_steps.feature_maps import (  # noqa: E402
    feature_maps,
)
from tools.analysis.report_steps.layout import (  # noqa: E402
    Colors,
    Section,
    choose_colors,
    section,
)
from tools.analysis.report_steps.models import is_detector  # noqa: E402
from tools.analysis.report_steps.overview import overview  # noqa: E402
from tools.analysis.report_steps.page import page  # noqa: E402
from tools.analysis.report_steps.runs import Run, read_runs  # noqa: E402

# What logs alone tell, in the order of the page.
_LOGGED = (compared.metrics, streams.losses, streams.gsnr, streams.momenta,
           streams.gradients, feature_curves, compared.topk,
           compared.agreement, compared.learning_rates)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR',
                        help='work directory of a training')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/report'),
                        help='folder of the page and its figures, which '
                        'replace those of an earlier report '
                        '(work_dirs/report)')
    parser.add_argument('--names', nargs='+',
                        help='what to call the runs, instead of by their '
                        'folders')
    parser.add_argument('--images', type=int, default=4,
                        help='how many validation images to draw (4)')
    parser.add_argument('--logs-only', action='store_true',
                        help='run no model')
    return parser.parse_args()


def main() -> None:
    """Write the report, or say in one sentence why not."""
    args = parse_args()
    try:
        if args.images < 0:
            raise ValueError(
                f'--images must be at least 0, got {args.images}.')
        runs = read_runs(args.work_dirs, args.names)
        write(runs, args)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'report: {error}')


def write(runs: Sequence[Run], args: argparse.Namespace) -> None:
    """Write the page and its figures."""
    sections = make_sections(runs, args)
    args.out.mkdir(parents=True, exist_ok=True)
    for file in args.out.glob('*.png'):
        # Of an earlier report, perhaps of more runs.
        if MAKER.encode() in file.read_bytes()[:200]:
            file.unlink()
    figures = [figure for each in sections for figure in each.figures]
    for figure in figures:
        (args.out / f'{figure.name}.png').write_bytes(figure.png)
    file = args.out / 'report.html'
    file.write_text(page(
        f'Training report: {", ".join(run.name for run in runs)}',
        time.strftime('%Y-%m-%d %H:%M'),
        shlex.join(['python', *sys.argv]), sections), encoding='utf-8')
    say(f'report: {file} ({file.stat().st_size / 1e6:.1f} MB), and its '
        f'{len(figures)} figures beside it')


def make_sections(runs: Sequence[Run],
                  args: argparse.Namespace) -> List[Section]:
    """Return all sections, in the order of the page."""
    colors = choose_colors(runs)
    logged = [make(runs, colors) for make in _LOGGED]
    return [overview(runs), *logged, *_by_running(runs, colors, args)]


def _by_running(runs: Sequence[Run], colors: Colors,
                args: argparse.Namespace) -> List[Section]:
    if args.logs_only:
        return [section(name, title, [], 'Left out, by --logs-only.')
                for name, title in (('features', 'Features'),
                                    ('detections', 'Detections'))]
    unread = [f'{run.name} is left out: its config cannot be read '
              f'({run.config_error}).' for run in runs if run.config_error]
    for line in unread:
        say(f'  {line}')
    return [each._replace(text=[*unread, *each.text]) for each in (
        feature_maps(runs, args.images, say),
        _run_detectors(runs, colors, args))]


def _run_detectors(runs: Sequence[Run], colors: Colors,
                   args: argparse.Namespace) -> Section:
    if not any(is_detector(run) for run in runs):
        return section('detections', 'Detections', [],
                       'No run has a detector that CocoMetric evaluates.')
    # mmdet takes seconds to import, and prints; only this section needs it.
    from tools.analysis.report_steps.detections import detections
    return detections(runs, colors, args.images, say)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
