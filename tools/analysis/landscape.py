"""Draw the loss around checkpoints of a student: how flat their minima are.

    python tools/analysis/landscape.py
        configs/digits100/deepkd_resnet8w32_resnet8w4.py
        work_dirs/digits100/plain/epoch_30.pth
        work_dirs/digits100/deepkd/epoch_30.pth --names plain deepkd

From each checkpoint it walks along random directions that are as long as the
weights, filter by filter (Li et al., "Visualizing the Loss Landscape of
Neural Nets", 2018, Sec. 4), the same noise for all, and takes the student's
task loss on fixed samples. OUT gets landscape_1d.png, landscape_2d.png, all
checkpoints on one scale, and the numbers as landscape.json. What is finished
is kept: the same command goes on after an interruption.
"""
import argparse
import sys
import warnings
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]
# Also where the package is not installed.
sys.path.insert(0, str(ROOT))
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

import torch  # noqa: E402
from mmengine.device import get_device  # noqa: E402

from mmdeepkd.checkpoints import UnsafeCheckpointError  # noqa: E402
from tools.analysis.landscape_steps.measuring import measure  # noqa: E402
from tools.common import add_config_arguments, load_config  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of a plain training or of a '
                        'distillation: it has the student and the data')
    parser.add_argument('checkpoints', nargs='+',
                        help='checkpoints of this student')
    parser.add_argument('--names', nargs='+',
                        help='what to call them (the names of their folders)')
    parser.add_argument('--out', type=Path,
                        default=Path('work_dirs/landscape'),
                        help='folder of the results (work_dirs/landscape)')
    parser.add_argument('--points', type=int, default=21,
                        help='steps in each direction, odd (21)')
    parser.add_argument('--span', type=float, default=1.0,
                        help='the longest step, in lengths of the weights (1)')
    parser.add_argument('--dims', type=int, nargs='+', choices=[1, 2],
                        default=[1, 2], help='of the slices (1 2)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0],
                        help='of the directions: a line each; the first is '
                        'that of the plane (0)')
    parser.add_argument('--samples', type=int, default=512,
                        help='how many, spread evenly over the set (512)')
    parser.add_argument('--split', choices=['val', 'train'], default='val',
                        help='the set they come from (val)')
    parser.add_argument('--device', default=get_device(),
                        help='(the GPU if there is one)')
    add_config_arguments(parser)
    return parser.parse_args()


def names_of(args: argparse.Namespace) -> List[str]:
    """Return a name for every checkpoint."""
    files = [Path(file) for file in args.checkpoints]
    if args.names is None:
        twice = [file for file, count in Counter(
            file.resolve() for file in files).items() if count > 1]
        if twice:
            raise ValueError(f'{twice[0]} is given twice: give each '
                             'checkpoint once, or names with --names.')
        names = [file.resolve().parent.name for file in files]
        return names if len(set(names)) == len(names) else args.checkpoints
    if len(args.names) != len(files) or len(set(args.names)) != len(files):
        raise ValueError(f'--names needs {len(files)} different names, one '
                         f'for each checkpoint, got {args.names}.')
    return args.names


def draw(data: Dict[str, Any], out: Path) -> None:
    """Draw the pictures of what was measured."""
    from tools.analysis.landscape_steps import plot

    dims = {each['dims'] for each in data['slices']}
    if 1 in dims:
        plot.draw_lines(data, out / 'landscape_1d.png')
    if 2 in dims:
        plot.draw_contours(data, out / 'landscape_2d.png')


def check_device(name: str) -> None:
    """Raise unless torch has a device."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'--device {name} is no device that torch knows: '
                         'give cpu or cuda.') from error
    if device.type == 'cuda' and (
            (device.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f'--device {name} needs a GPU that torch sees; '
                         f'leave it out to measure on {get_device()}.')


def check_drawing() -> None:
    """Raise, before anything is measured, if it could not be drawn."""
    if find_spec('matplotlib') is None:
        raise ImportError('the pictures are made with matplotlib, which is '
                          'not installed: pip install matplotlib.')


def summary(data: Dict[str, Any]) -> str:
    """Return a line for each checkpoint: how high, and how flat around."""
    middle = len(data['steps']) // 2
    half = max(1, middle // 2)
    step = data['steps'][middle + half]
    lines = []
    for facts in data['checkpoints']:
        line = f'{facts["name"]}: task loss {facts["loss"]:.4f}'
        if facts['name'] in data['rise']:
            risen = data['rise'][facts['name']][half - 1]
            told = 'not finite' if risen is None else f'{risen:.4f} more'
            line += f', {told} {step:g} lengths of the weights away'
        lines.append(line)
    return '\n'.join(lines)


def main() -> None:
    """Measure and draw, or say in one sentence why not."""
    args = parse_args()
    try:
        names = names_of(args)
        check_device(args.device)
        check_drawing()
        data = measure(load_config(args), args, names, say)
        draw(data, args.out)
    except (ImportError, KeyError, OSError, RuntimeError, TypeError,
            UnsafeCheckpointError, ValueError) as error:
        sys.exit(f'landscape: {error}')
    say(summary(data))
    say(f'the pictures and numbers are in {args.out}')


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
