"""How the cost grows with the batch, the classes and the RoIs."""
import math
from pathlib import Path
from typing import Any, Callable, Dict, Sequence, Tuple

import torch

from mmdeepkd.detection.pairing import classify_rois

from . import classification, detection, loss
from .comparison import Plan
from .timing import interleaved, spread

_BATCHES = (16, 32, 64, 128, 256)
_CLASSES = (100, 300, 1000, 3000, 10000, 20000)
_ROIS = (128, 256, 512, 1024, 2048)

Arms = Dict[str, Callable[[], Any]]


def run(plan: Plan, folder: Path) -> Dict[str, Any]:
    """Measure the three series.

    Args:
        plan: How much is measured.
        folder: For the teachers' checkpoints.

    Returns:
        ``{series: {label, arms: {arm: {seconds by size, exponent}}}}``.
    """
    # Of the smallest sizes two are enough for a line.
    cut = slice(0, 2) if plan.smoke else slice(None)
    plan = plan._replace(rounds=min(plan.rounds, 5))
    return dict(series={
        'batch': _series('images in a batch', 'a whole step', _BATCHES[cut],
                         _batch_arms(plan, folder), plan),
        'classes': _series('classes', "the loss of 256 rows, and its streams' "
                           'gradients', _CLASSES[cut], _class_arms(plan),
                           plan),
        'rois': _series('RoIs', "the teacher's RoIAlign and box head, the "
                        "losses, and their streams' gradients", _ROIS[cut],
                        _roi_arms(plan, folder), plan),
    })


def _series(label: str, what: str, sizes: Sequence[int],
            make: Callable[[int], Arms], plan: Plan) -> Dict[str, Any]:
    seconds: Dict[str, Dict[int, Any]] = {}
    for size in sizes:
        found = interleaved(make(size), plan.rounds, plan.device,
                            lambda line: None, warm_up=1)
        for name, times in found.items():
            seconds.setdefault(name, {})[size] = times
        plan.say(f'  {size} {label}: ' + ', '.join(
            f'{name} {1e3 * spread(times).median:.4g} ms'
            for name, times in found.items()))
    return dict(label=label, what=what, arms={
        name: dict(seconds=times, exponent=exponent({
            size: spread(values).median for size, values in times.items()}))
        for name, times in seconds.items()
    })


def exponent(values: Dict[int, float]) -> float:
    """Return b of the least-squares fit of log t = a + b log n.

    Args:
        values: t by n, at least two.
    """
    points: Sequence[Tuple[float, float]] = [
        (math.log(n), math.log(t)) for n, t in values.items()]
    x, y = (sum(column) / len(points) for column in zip(*points))
    return (sum((a - x) * (b - y) for a, b in points) /
            sum((a - x)**2 for a, _ in points))


def _batch_arms(plan: Plan, folder: Path) -> Callable[[int], Arms]:
    config = (classification.SMOKE_CONFIG if plan.smoke
              else classification.CONFIG)
    pair = classification.make_pair(config, plan.device, folder)
    options = classification.VARIANTS['ours'].options

    def make(size: int) -> Arms:
        batch = classification.image_batch(size)
        others = classification.baselines(pair, batch)
        return {
            'ours': classification.ours(pair, batch, options),
            'plain KD': others['KD'].step,
            'three backwards': others['three'].step,
        }

    return make


def _class_arms(plan: Plan) -> Callable[[int], Arms]:
    def make(classes: int) -> Arms:
        logits, arms = loss.make_arms(256, classes, 'kd', None, plan.device)
        return {name: lambda losses=losses: loss.forward_backward(
            losses, logits) for name, losses in arms.items()}

    return make


def _roi_arms(plan: Plan, folder: Path) -> Callable[[int], Arms]:
    scene = detection.SMOKE if plan.smoke else detection.FULL
    pair = detection.make_pair(scene, plan.device, folder)
    step = detection.ours(pair, detection.detection_batch(scene), scene, {})
    teacher, module = step.distiller.teacher, step.distiller.losses[0]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features = teacher.extract_feat(torch.randn(
            2, 3, scene.size, scene.size, generator=generator
        ).to(plan.device))

    def make(count: int) -> Arms:
        corner = torch.rand(count, 2, generator=generator) * 0.5
        extent = torch.rand(count, 2, generator=generator) * 0.4 + 0.1
        boxes = torch.cat([corner, corner + extent], 1) * scene.size
        image = torch.arange(count).remainder(2).unsqueeze(1)
        rois = torch.cat([image.to(boxes), boxes], 1).to(plan.device)
        logits = torch.randn(count, scene.classes + 1, generator=generator)
        logits = logits.to(plan.device).requires_grad_()
        target = torch.randint(scene.classes, (count, ),
                               generator=generator).to(plan.device)

        def distil() -> None:
            with torch.no_grad():
                taught = classify_rois(teacher, features, rois, 0)
            loss.forward_backward(
                lambda student: module(student, taught, target), logits)

        return {'ours': distil}

    return make
