"""The RoI logits that the losses of a two-stage pair compare."""
from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmdeepkd.distillers import ClassMapping, check_num_logits, check_topk

from .pairing import check_two_stage, classify_rois, map_classes, pair_stages
from .roi_capture import RoICapture, RoISample, as_stages


class RoILogits:
    """Logits of student and teacher for the RoIs of the student's loss.

    Args:
        student: Two-stage detector.
        teacher: Two-stage detector, with its checkpoint's ``class_names``.
        losses: On logits.
        teacher_stage: See :func:`pair_stages`.
        mapping: ``teacher_class_map`` of the distiller.

    Attributes:
        class_map: Which class of the teacher teaches which.

    Raises:
        TypeError: A model is no two-stage detector.
        ValueError: Class counts, the class map or stages do not fit, or a
            loss is not for that many classes.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module,
                 losses: List[nn.Module], teacher_stage: Optional[int],
                 mapping: Optional[ClassMapping]) -> None:
        check_two_stage(student, 'student')
        check_two_stage(teacher, 'teacher')
        self.class_map = map_classes(student, teacher, mapping)
        others = self.class_map.num_classes
        check_num_logits(losses, self.num_logits)
        check_topk(losses, others,
                   f'detectors {others} non-target classes (background '
                   'counts)')
        heads = [as_stages(m.roi_head.bbox_head) for m in (student, teacher)]
        self._teacher_stages = pair_stages(
            len(heads[0]), len(heads[1]), teacher_stage)
        self._stage_weights = getattr(
            student.roi_head, 'stage_loss_weights', [1.0])
        self._capture = RoICapture(student.roi_head)

    @property
    def num_logits(self) -> int:
        """Classes and background."""
        return self.class_map.num_classes + 1

    def recording(self) -> Any:
        """Return a context that collects the samples of the student's loss."""
        return self._capture.recording()

    def losses(self, named: Iterable[Tuple[str, nn.Module]],
               samples: List[RoISample], teacher: nn.Module,
               features: List[Tensor]) -> Dict[str, Tensor]:
        """Return the losses of the distillation of one batch.

        Args:
            named: The losses on logits, with their names.
            samples: What was recorded, stage by stage.
            teacher: As it runs.
            features: Its feature maps of the batch.

        Returns:
            ``<stream>.loss_<method>``, of several stages ``..._s0``, ...
        """
        losses = {}
        for stage, sample in enumerate(samples):
            with torch.no_grad():
                logits_teacher = self.class_map(
                    classify_rois(teacher, features, sample.rois,
                                  self._teacher_stages[stage]))
            suffix = f'_s{stage}' if len(self._teacher_stages) > 1 else ''
            weight = self._stage_weights[stage]
            for name, loss in named:
                for stream, value in _distil(loss, sample,
                                             logits_teacher).items():
                    losses[f'{stream}.{name}{suffix}'] = (
                        value if weight == 1 else weight * value)
        return losses


def refuse_unused(teacher_stage: Optional[int],
                  mapping: Optional[ClassMapping]) -> None:
    """Raise if something is set that only losses on logits would read.

    Args:
        teacher_stage: Of the distiller.
        mapping: ``teacher_class_map`` of the distiller.

    Raises:
        ValueError: One of them is given.
    """
    for name, value, meaning in (
            ('teacher_stage', teacher_stage,
             "the head of the teacher's cascade that teaches"),
            ('teacher_class_map', mapping, "the teacher's classes")):
        if value is not None:
            raise ValueError(
                f'{name} chooses {meaning}, and none of the losses compares '
                f'logits: leave {name} out, or add a loss on logits, such as '
                'mmdeepkd.DeepKDLoss.')


def _distil(loss: nn.Module, sample: RoISample,
            logits_teacher: Tensor) -> Dict[str, Tensor]:
    if sample.labels is None:
        # No RoI: mmdet computed no loss, every rank still needs the streams.
        target = sample.rois.new_zeros(len(sample.logits), dtype=torch.long)
        return loss(sample.logits, logits_teacher, target)
    return loss(
        sample.logits,
        logits_teacher,
        sample.labels,
        weight=sample.label_weights,
        avg_factor=sample.avg_factor)
