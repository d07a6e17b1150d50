"""The section that runs detectors: AP by class, boxes on images."""
import math
from typing import Callable, Dict, List, Sequence

from matplotlib.figure import Figure

from tools.demo_steps.pictures import draw_detections

from .charts import WIDTH, Picture, bars, png
from .detecting import (
    Found,
    Say,
    Scene,
    contents,
    detect,
    load,
    load_data,
    load_scenes,
)
from .failures import BROKEN_OFF, UNUSABLE, LeftOut, told
from .layout import Colors, Section, Table
from .legends import wrapped
from .models import Detector, check_data, find_detectors, is_detector
from .runs import Run

_NAME, _TITLE = 'detections', 'Detections'
_MOST_BARS = 20
_TEACHER = '#888888'


def detections(runs: Sequence[Run], colors: Colors, images: int,
               say: Say) -> Section:
    """Compare the detectors of some runs, class by class and in pictures.

    Args:
        runs: All runs; those that train no detector are left out.
        colors: Of the runs.
        images: How many images to draw.
        say: Told how far it is.
    """
    text: List[str] = []

    def leave_out(line: str) -> None:
        text.append(line)
        say(f'  {line}')

    those = [run for run in runs if is_detector(run)]
    usable = [run for run in those if run.checkpoint is not None]
    for run in those:
        if run.checkpoint is None:
            leave_out(f'{run.name} is left out: it has no checkpoint yet.')
    if usable:
        return _of_usable(usable, colors, images, text, leave_out, say)
    leave_out('No detector has a checkpoint yet.')
    return Section(_NAME, _TITLE, text, [], [])


def _of_usable(runs: Sequence[Run], colors: Colors, images: int,
               text: List[str], leave_out: Callable[[str], None],
               say: Say) -> Section:
    detectors = find_detectors(runs)
    nothing = Section(_NAME, _TITLE, text, [], [])
    try:
        check_data(detectors[0].cfg)
        dataset = load_data(detectors[0].cfg)
    except UNUSABLE as error:
        leave_out(f'Left out: {told(error)}')
        return nothing
    try:
        scenes = load_scenes(dataset, images)
    except OSError as error:
        leave_out(f'Left out: {error}')
        return nothing
    found, data = [], contents(dataset)
    for detector in detectors:
        try:
            found.append(_detected(detector, detectors[0].name, data, scenes,
                                   say))
        except LeftOut as error:
            leave_out(f'{detector.name} is left out: {error}')
    return _shown(found, scenes, colors, text) if found else nothing


def _detected(detector: Detector, first: str, data: tuple,
              scenes: Sequence[Scene], say: Say) -> Found:
    try:
        loaded = load(detector)
    except UNUSABLE as error:
        raise LeftOut(told(error)) from error
    if contents(loaded.loader.dataset) != data:
        raise LeftOut(f'its validation set is another than that of {first}.')
    try:
        return detect(loaded, [scene.number for scene in scenes], say)
    except BROKEN_OFF as error:
        raise LeftOut(str(error)) from error


def _shown(found: Sequence[Found], scenes: Sequence[Scene], colors: Colors,
           text: List[str]) -> Section:
    figures = [_bars(found, colors)] if len(found) > 1 else []
    figures += [_boxes(number, scene, found)
                for number, scene in enumerate(scenes, 1)]
    text += [f'{each.name} finds nothing.' for each in found if each.nothing]
    text.append('One pass of the last checkpoints over the validation set; '
                'boxes are drawn from a score of 0.5 on.')
    return Section(_NAME, _TITLE, text, figures, [_table(found)])


def _table(found: Sequence[Found]) -> Table:
    base, changed = _base(found), _changed(found)
    head = ['class', *(f'{each.name} ({each.kind})' for each in found),
            *(f'{each.name} − {base.name}' for each in changed)]
    rows = []
    for name in ('all', *found[0].by_class):
        ap = {each.name: each.box_map if name == 'all'
              else each.by_class[name] for each in found}
        rows.append([name, *(_number(value) for value in ap.values()),
                     *(_number(ap[each.name] - ap[base.name], '+')
                       for each in changed)])
    return Table('Box AP by class, in per cent', head, rows)


def _base(found: Sequence[Found]) -> Found:
    """Return what the others are compared with: the plain student."""
    plain = [each for each in found if each.kind == 'plain']
    return (plain or list(found))[0]


def _changed(found: Sequence[Found]) -> List[Found]:
    """Return what is compared with the plain student, or the teacher."""
    base = _base(found)
    return [each for each in found
            if each is not base and each.kind != 'teacher']


def _bars(found: Sequence[Found], colors: Colors) -> Picture:
    base = _base(found)
    shown = _changed(found) or [each for each in found if each is not base]
    changes = {
        name: [each.by_class[name] - base.by_class[name] for each in shown]
        for name in base.by_class if math.isfinite(base.by_class[name])}
    largest = sorted(changes, key=lambda n: -max(map(abs, changes[n])))
    kept = {name: changes[name] for name in changes
            if name in largest[:_MOST_BARS]}
    caption = f'Change of box AP by class, against {base.name}'
    if len(kept) < len(changes):
        caption += f'; the {_MOST_BARS} largest of {len(changes)} classes'
    return bars('ap_by_class', f'{caption}.', kept,
                {each.name: colors.runs.get(each.name, _TEACHER)
                 for each in shown}, 'change of box AP (points)')


def _boxes(number: int, scene: Scene, found: Sequence[Found]) -> Picture:
    panels: Dict[str, list] = {'ground truth': scene.truth}
    panels.update({each.name: each.boxes.get(scene.number, [])
                   for each in found})
    height, width = scene.pixels.shape[:2]
    rows = (len(panels) + 1) // 2
    figure = Figure((WIDTH, rows * (WIDTH / 2 * height / width + 0.3)),
                    layout='constrained')
    axes = figure.subplots(rows, 2, squeeze=False)
    for axis, (title, boxes) in zip(axes.flat, panels.items()):
        axis.set_title(wrapped(title, 1.9, 10), fontsize=10)
        draw_detections(axis, scene.pixels, boxes)
    for axis in axes.flat[len(panels):]:
        axis.set_axis_off()
    alt = '; '.join(f'{title}: {", ".join(b.text for b in boxes) or "none"}'
                    for title, boxes in panels.items())
    return Picture(f'detections_{number}', png(figure),
                   f'One image with the boxes of each detector. {alt}.',
                   f'Validation image {scene.number}: ground truth and '
                   'detections.')


def _number(value: float, sign: str = '') -> str:
    return format(value, f'{sign}.1f') if math.isfinite(value) else '–'
