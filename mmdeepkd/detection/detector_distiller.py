"""Distillation of the RoI logits of two-stage detectors."""
from typing import Any, Dict, List, Optional, Union

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn

from mmdeepkd.distillers import (
    BaseDistiller,
    ClassMapping,
    PixelFormat,
    Root,
    check_num_logits,
    check_topk,
    convert_pixels,
    explain_single_value,
)
from mmdeepkd.distillers.base_distiller import Losses
from mmdeepkd.distillers.model_config import ModelConfig
from mmdeepkd.registry import MODELS

from .annotations import check_annotations
from .pairing import (
    check_two_stage,
    classify_rois,
    map_classes,
    pair_stages,
    teacher_roots,
)
from .roi_capture import RoICapture, RoISample, as_stages


@MODELS.register_module()
class DetectorDistiller(BaseDistiller):
    """Two-stage detector with a teacher that classifies the same boxes.

    As in DKD's detection experiments (arXiv 2203.08679, Sec. 4.1) the teacher
    scores the student's own sampled RoIs, with the student's labels;
    background is the last class. The student runs once and its loss is
    untouched: its logits are the ones that loss is computed from. Of the
    teacher run only backbone, neck and box head, on the student's batch
    re-normalised to the teacher's pixel format.

    Args:
        student: Faster, Mask or Cascade R-CNN; see :class:`BaseDistiller`
            for the forms.
        teacher: The same, over the same classes or, with
            ``teacher_class_map``, over these and others.
        teacher_checkpoint: Path or URL.
        losses: One distillation loss or a list.
        task_weight: Weight of the detector's own losses.
        student_init: ``dict(inherit=['neck', ...])``, or None.
        data_preprocessor: The student's, if its config has none.
        init_cfg: The student's, instead of its own.
        teacher_stage: Stage of a Cascade teacher that teaches every stage of
            the student. None: stage i teaches stage i.
        teacher_class_map: For each class of the student the teacher's, all
            by index or all by name (as in the metadata of its checkpoint),
            where the teacher knows other classes; background is mapped to
            background. See :class:`ClassMap` for what is then taught. None:
            the classes are the same.
        teacher_speedup: ``dict(channels_last=True, fold_bn=True, amp=None,
            compile=False)`` or some of it, for the teacher's backbone, neck
            and box heads; see :class:`BaseDistiller`. None: the teacher runs
            as loaded.
        channels_last: Whether the student's convolutions run in torch's
            channels_last format.

    Raises:
        TypeError: A model is no two-stage detector.
        ValueError: Class counts, the class map or stages do not fit.

    Example:
        >>> model = dict(
        ...     _delete_=True,
        ...     type='mmdeepkd.DetectorDistiller',
        ...     student={{_base_.model}},
        ...     teacher='mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py',
        ...     teacher_checkpoint='https://...',
        ...     losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd'))
    """

    model_scope = 'mmdet'

    def __init__(self,
                 student: ModelConfig,
                 teacher: ModelConfig,
                 teacher_checkpoint: Optional[str],
                 losses: Union[Dict[str, Any], List[Dict[str, Any]]],
                 task_weight: float = 1.0,
                 student_init: Optional[Dict[str, Any]] = None,
                 data_preprocessor: Optional[Dict[str, Any]] = None,
                 init_cfg: Optional[Dict[str, Any]] = None,
                 teacher_stage: Optional[int] = None,
                 teacher_class_map: Optional[ClassMapping] = None,
                 teacher_speedup: Optional[Dict[str, Any]] = None,
                 channels_last: bool = False) -> None:
        super().__init__(student, teacher, teacher_checkpoint, losses,
                         task_weight, student_init, data_preprocessor,
                         init_cfg, teacher_speedup, channels_last)
        check_two_stage(self.student, 'student')
        check_two_stage(self.teacher, 'teacher')
        self.class_map = map_classes(self.student, self.teacher,
                                     teacher_class_map)
        others = self.class_map.num_classes
        check_num_logits(self.losses, self.num_logits)
        check_topk(self.losses, others,
                   f'detectors {others} non-target classes (background '
                   'counts)')
        heads = [
            as_stages(m.roi_head.bbox_head)
            for m in (self.student, self.teacher)
        ]
        self._teacher_stages = pair_stages(
            len(heads[0]), len(heads[1]), teacher_stage)
        self._pixel_formats = (_pixel_format(self.student),
                               _pixel_format(self.teacher))
        self._capture = RoICapture(self.student.roi_head)

    @property
    def num_logits(self) -> int:
        """Classes and background."""
        return self.class_map.num_classes + 1

    def loss(self, inputs: Tensor, data_samples: SampleList) -> Losses:
        """Return the detector's losses and those of the distillation.

        Args:
            inputs: (N, 3, H, W).
            data_samples: Annotations of the N images.

        Returns:
            The student's losses under their own names, and
            ``<stream>.loss_<method>`` (Cascade: ``..._s0``, ``..._s1``).

        Raises:
            ValueError: A box has no area, a label is no class, or BatchNorm
                gets a single value.
        """
        check_annotations(data_samples, self.class_map.num_classes)
        with self._capture.recording() as samples, explain_single_value():
            losses = self.student.loss(
                self._student_inputs(inputs), data_samples)
        teacher = self.running_teacher()
        with torch.no_grad():
            features = teacher.extract_feat(
                self._teacher_inputs(inputs, data_samples))
        weights = getattr(self.student.roi_head, 'stage_loss_weights', [1.0])
        for stage, sample in enumerate(samples):
            with torch.no_grad():
                logits_teacher = self.class_map(
                    classify_rois(teacher, features, sample.rois,
                                  self._teacher_stages[stage]))
            suffix = f'_s{stage}' if len(self._teacher_stages) > 1 else ''
            for name, loss in zip(self._loss_names, self.losses):
                for stream, value in _distil(loss, sample,
                                             logits_teacher).items():
                    losses[f'{stream}.{name}{suffix}'] = (
                        value if weights[stage] == 1 else
                        weights[stage] * value)
        return losses

    def _teacher_roots(self) -> List[Root]:
        return teacher_roots(self.teacher)

    def _teacher_inputs(self, inputs: Tensor,
                        data_samples: SampleList) -> Tensor:
        return convert_pixels(inputs, *self._pixel_formats,
                              [sample.img_shape for sample in data_samples])


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


def _pixel_format(model: nn.Module) -> PixelFormat:
    """Read the pixel format off a detector's preprocessor."""
    preprocessor = model.data_preprocessor
    mean, std = (0.0, ) * 3, (1.0, ) * 3
    if preprocessor._enable_normalize:
        mean = tuple(preprocessor.mean.flatten().tolist())
        std = tuple(preprocessor.std.flatten().tolist())
    return PixelFormat(mean, std, preprocessor._channel_conversion,
                       preprocessor.pad_value, preprocessor.pad_size_divisor)
