"""What a finished training measured, the demo's table and its checks."""
import json
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

MIN_PLAIN_MAP = 0.35
NOISE_NOTE = 'One seed: differences under about 2 points are noise.'

_HEADER = ('', 'box mAP', 'AP50', 'parameters', 'ms per iteration')

DISTILLATION_STREAMS = ('target', 'non_target', 'distill', 'feature')


class History(NamedTuple):
    """The curves of one run, from MMEngine's ``scalars.json``."""

    # (iteration, {log name: value}) of every logged training interval.
    train: List[Tuple[int, Dict[str, float]]]
    # (epoch, box mAP, AP50) of every validation.
    val: List[Tuple[int, float, float]]

    @property
    def box_map(self) -> float:
        return self.val[-1][1]

    @property
    def ap50(self) -> float:
        return self.val[-1][2]

    @property
    def iteration_ms(self) -> float:
        return 1000 * median(values['time'] for _, values in self.train)


class Row(NamedTuple):
    """One line of the table."""

    title: str
    box_map: float
    ap50: float
    parameters: int
    iteration_ms: float


def read_history(work_dir: Path) -> History:
    """Read the newest run in a work directory."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'{work_dir} holds no */vis_data/scalars.json; the visualizer of '
            'the config needs a LocalVisBackend.')
    history = History([], [])
    for line in files[-1].read_text().splitlines():
        values = json.loads(line)
        if 'coco/bbox_mAP' in values:
            history.val.append((values['step'], values['coco/bbox_mAP'],
                                values['coco/bbox_mAP_50']))
        elif 'loss' in values:
            # Other lines are reports of hooks.
            history.train.append((values['step'], values))
    return history


def stream_losses(values: Dict[str, float],
                  streams: Sequence[str] = DISTILLATION_STREAMS
                  ) -> Dict[str, float]:
    """Sum logged losses by gradient stream.

    A distillation loss is named ``<stream>.loss_<method>``; every other loss
    belongs to the task, also where mmdet puts a dot (``s0.loss_cls``).
    """
    totals: Dict[str, float] = {}
    for name, value in values.items():
        if 'loss' in name and name != 'loss':
            prefix = name.partition('.')[0]
            stream = prefix if prefix in streams else 'task'
            totals[stream] = totals.get(stream, 0.0) + value
    return totals


def table(rows: Sequence[Row], markdown: bool = False) -> str:
    """Lay the rows out, for a terminal or as Markdown."""
    cells = [_HEADER]
    cells += [(row.title, f'{100 * row.box_map:.1f}', f'{100 * row.ap50:.1f}',
               f'{row.parameters:,}', f'{row.iteration_ms:.0f}')
              for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [[line[0].ljust(widths[0])] +
             [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
             for line in cells]
    if markdown:
        # The colon aligns numbers to the right.
        rule = ['-' * widths[0]] + ['-' * (w - 1) + ':' for w in widths[1:]]
        lines.insert(1, rule)
        text = [f'| {" | ".join(line)} |' for line in lines]
    else:
        text = ['   '.join(line) for line in lines]
    return '\n'.join([*text, '', NOISE_NOTE])


def complaint(teacher_map: float, plain_map: float) -> Optional[str]:
    """Return what is wrong with the demo's numbers, or None."""
    if plain_map < MIN_PLAIN_MAP:
        return (f'the plain student reached {100 * plain_map:.1f} box mAP and '
                f'must reach {100 * MIN_PLAIN_MAP:.0f}: the training is '
                'broken.')
    if teacher_map <= plain_map:
        return (f'the teacher ({100 * teacher_map:.1f} box mAP) is no better '
                f'than the plain student ({100 * plain_map:.1f}): there is '
                'nothing to distil.')
    return None
