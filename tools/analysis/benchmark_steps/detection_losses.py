"""The losses of a detector as straightforward code computes them."""
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List

import torch
from torch import Tensor, nn

from mmdeepkd.detection.pairing import classify_rois
from mmdeepkd.detection.roi_capture import RoICapture, RoISample

from .baselines import released_losses
from .steps import Lap


def seeded(batch: Dict[str, Any]) -> Dict[str, Any]:
    """Return a batch; mmdet then samples the same RoIs in every step."""
    torch.manual_seed(0)
    return batch


def _sum(losses: Dict[str, Any]) -> Tensor:
    return sum(sum(value) if isinstance(value, list) else value
               for name, value in losses.items() if 'loss' in name)


def plain_losses(distiller: nn.Module, batch: Dict[str, Any],
                 lap: Lap) -> Dict[str, Tensor]:
    """Return the loss of the student alone."""
    data = distiller.data_preprocessor(seeded(batch), training=True)
    task = _sum(distiller.student.loss(*data.values()))
    lap('student forward, its losses')
    return dict(task=distiller.task_weight * task)


class StepByStep:
    """The forward of straightforward DKD-style detection code.

    The student's box head runs again on its sampled RoIs; the teacher runs
    with its RPN, or its whole ``loss``, and its box head on these RoIs.

    Args:
        distiller: Whose networks, loss settings and task weight are used.
        batch: The batch.
        topk: K.
        whole: Whether the teacher computes its own loss as well.
    """

    def __init__(self, distiller: nn.Module, batch: Dict[str, Any], topk: int,
                 whole: bool) -> None:
        self.distiller = distiller
        self.batch = batch
        self.topk = topk
        self.whole = whole
        self.capture = RoICapture(distiller.student.roi_head)

    def __call__(self, lap: Lap) -> Dict[str, Tensor]:
        """Return the losses of the streams."""
        own = self.distiller
        data = own.data_preprocessor(seeded(self.batch), training=True)
        with self.capture.recording() as samples, _features(
                own.student) as features:
            task = own.task_weight * _sum(own.student.loss(*data.values()))
        lap('student forward, its losses')
        sample = samples[0]
        student = classify_rois(own.student, features[0], sample.rois, 0)
        lap('student head again')
        with torch.no_grad():
            teacher = self._teach(data, sample)
        lap('teacher forward')
        loss = own.losses[0]
        losses = released_losses(student, teacher, sample.labels,
                                 loss.temperature, self.topk, loss.base,
                                 (loss.alpha, loss.beta))
        lap('distillation losses')
        return dict(losses, task=task)

    def _teach(self, data: Dict[str, Any], sample: RoISample) -> Tensor:
        teacher = self.distiller.teacher
        if self.whole:
            with _features(teacher) as found:
                teacher.loss(*data.values())
            features = found[0]
        else:
            features = teacher.extract_feat(data['inputs'])
            teacher.rpn_head.predict(features, data['data_samples'])
        return classify_rois(teacher, features, sample.rois, 0)


@contextmanager
def _features(model: nn.Module) -> Iterator[List[Any]]:
    """Collect what a detector's neck gives."""
    found: List[Any] = []
    handle = model.neck.register_forward_hook(
        lambda module, args, output: found.append(output))
    try:
        yield found
    finally:
        handle.remove()
