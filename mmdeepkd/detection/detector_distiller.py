"""Distillation of detectors: RoI logits, and the maps of the neck."""
from contextlib import ExitStack
from typing import Any, Dict, List, Optional, Union

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn

from mmdeepkd.distillers import (
    BaseDistiller,
    ClassMapping,
    Place,
    Root,
    convert_pixels,
    explain_single_value,
    maps_of,
    pair_maps,
    record_output,
)
from mmdeepkd.distillers.base_distiller import Losses
from mmdeepkd.distillers.model_config import ModelConfig
from mmdeepkd.registry import MODELS

from .annotations import check_annotations, count_classes
from .neck_maps import check_feature_losses, find_places
from .pairing import teacher_roots
from .pixel_format import pixel_format
from .roi_logits import RoILogits, refuse_unused


@MODELS.register_module()
class DetectorDistiller(BaseDistiller):
    """Detector with a teacher that sees the same images, or the same boxes.

    The student runs once and its loss is untouched. What the teacher runs
    depends on the losses; its RPN never does. It gets the student's batch,
    re-normalised to its own pixel format.

    Losses on logits (DKD's detection experiments, arXiv 2203.08679, Sec. 4.1)
    are for two-stage detectors: the teacher scores the student's own sampled
    RoIs, with the student's labels; background is the last class. The
    student's logits are the ones its loss is computed from. Of the teacher
    run backbone, neck and box head.

    Losses on features (DiffKD, arXiv 2305.15712) compare the maps that the
    necks of the two give, levels of equal stride with each other, through
    trainable modules that are no part of the student (``distill.``). Both
    may be any detector with a neck, one-stage ones too, and know other
    classes, where no loss compares logits; of the teacher run backbone and
    neck.

    Args:
        student: For losses on logits Faster, Mask or Cascade R-CNN, else any
            detector with a neck; see :class:`BaseDistiller` for the forms.
        teacher: The same, for losses on logits over the same classes or,
            with ``teacher_class_map``, over these and others.
        teacher_checkpoint: Path or URL.
        losses: One distillation loss or a list, of either kind.
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
            compile=False)`` or some of it, for the parts of the teacher that
            run; see :class:`BaseDistiller`. None: the teacher runs as
            loaded.
        channels_last: Whether the student's convolutions run in torch's
            channels_last format.

    Raises:
        TypeError: A model is no detector that the losses are for.
        ValueError: Class counts, the class map, stages or levels do not fit,
            or an argument is given that no loss reads.

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
        self._roi_logits: Optional[RoILogits] = None
        if self.logit_losses:
            self._roi_logits = RoILogits(
                self.student, self.teacher,
                [loss for _, loss in self.logit_losses], teacher_stage,
                teacher_class_map)
        else:
            refuse_unused(teacher_stage, teacher_class_map)
        check_feature_losses(self.feature_losses, self.student, self.teacher)
        #: Which class of the teacher teaches which; None where no loss
        #: compares logits.
        self.class_map = None if self._roi_logits is None else (
            self._roi_logits.class_map)
        self._num_classes = count_classes(self.student)
        self._pixel_formats = (pixel_format(self.student, 'student'),
                               pixel_format(self.teacher, 'teacher'))
        self._build_adapters()

    @property
    def num_logits(self) -> int:
        """Classes and background.

        Raises:
            AttributeError: No loss compares logits.
        """
        if self._roi_logits is None:
            raise AttributeError(
                'this DetectorDistiller has no num_logits, for none of its '
                'losses compares logits: add one that does, such as '
                'mmdeepkd.DeepKDLoss, or remove what asks for the number.')
        return self._roi_logits.num_logits

    def loss(self, inputs: Tensor, data_samples: SampleList) -> Losses:
        """Return the detector's losses and those of the distillation.

        Args:
            inputs: (N, 3, H, W).
            data_samples: Annotations of the N images.

        Returns:
            The student's losses under their own names, of losses on logits
            ``<stream>.loss_<method>`` (Cascade: ``..._s0``, ``..._s1``), and
            those of losses on features, such as
            ``feature.loss_diffkd_level0``.

        Raises:
            ValueError: A box has no area, a label is no class, or BatchNorm
                gets a single value.
        """
        check_annotations(data_samples, self._num_classes)
        with ExitStack() as stack:
            recorded = self._recording(stack, self.student)
            samples = [] if self._roi_logits is None else (
                stack.enter_context(self._roi_logits.recording()))
            with explain_single_value():
                losses = self.student.loss(
                    self._student_inputs(inputs), data_samples)
        with torch.no_grad(), ExitStack() as stack:
            teacher = self.running_teacher()
            taught = self._recording(stack, teacher)
            features = teacher.extract_feat(
                self._teacher_inputs(inputs, data_samples))
        if self._roi_logits is not None:
            losses.update(self._roi_logits.losses(
                self.logit_losses, samples, teacher, features))
        for name, loss in self.feature_losses:
            pairs = pair_maps(self._loss_places[name],
                              maps_of(recorded, 'neck of the student'),
                              maps_of(taught, 'neck of the teacher'))
            losses.update(self._compare_features(name, loss, pairs))
        return losses

    def _recording(self, stack: ExitStack, model: nn.Module) -> List[Any]:
        """Return what a model's neck will have given when the stack ends."""
        if not self.feature_losses:
            return []
        return stack.enter_context(record_output(model.neck))

    def _places(self, loss: nn.Module) -> List[Place]:
        return find_places(loss, self.student, self.teacher)

    def _teacher_roots(self) -> List[Root]:
        return teacher_roots(self.teacher, rois=self._roi_logits is not None)

    def _teacher_inputs(self, inputs: Tensor,
                        data_samples: SampleList) -> Tensor:
        return convert_pixels(inputs, *self._pixel_formats,
                              [sample.img_shape for sample in data_samples])
