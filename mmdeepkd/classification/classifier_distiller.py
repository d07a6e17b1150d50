"""Distillation of the logits and feature maps of image classifiers."""
import copy
from contextlib import ExitStack, nullcontext
from typing import (
    Any,
    ContextManager,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmdeepkd.distillers import (
    BaseDistiller,
    ClassMap,
    ClassMapping,
    Place,
    Root,
    check_num_logits,
    check_topk,
    convert_pixels,
    explain_single_value,
    resolve_model_config,
    student_config,
)
from mmdeepkd.distillers.base_distiller import Losses
from mmdeepkd.distillers.model_config import ModelConfig
from mmdeepkd.registry import MODELS

from .batches import gather_target, image_shapes, pixel_format
from .logits import (
    LogitCapture,
    check_logits,
    logits_module,
    map_classes,
    network_of,
    teacher_roots,
)
from .loss_checks import check_losses, reads_maps, refuse_class_map
from .maps import BackboneMaps, map_places, recording_maps
from .two_views import VIEW_SUFFIXES, task_names


@MODELS.register_module()
class ClassifierDistiller(BaseDistiller):
    """Classifier with a teacher that classifies the same images.

    The student runs once and its loss is untouched: its logits are the ones
    that loss is computed from ("Distilling the Knowledge in a Neural
    Network", arXiv 1503.02531, Sec. 2, and the methods after it). Batch
    augmentation (Mixup, CutMix) runs once, in the student's preprocessor; the
    teacher sees that batch, re-normalised to its own pixel format.

    Losses on features (DiffKD) compare the last maps of the backbones, or
    those the loss names, or the logits; what they train beside the student is
    the child ``distill``. Where all losses compare maps neither heads nor
    labels are of interest: the student may train on several labels per image.

    Losses of two views (MLKD, CRLD) need two batches of images, weak and
    strong; student and teacher run on each. The student's own loss is
    ``loss_cls``, of two views ``loss_cls_weak`` and ``loss_cls_strong``.

    Args:
        student: For losses on logits a classifier of mmpretrain with a
            softmax loss, else with any; see :class:`BaseDistiller` for the
            forms.
        teacher: The same, for losses on logits over the same classes or,
            with ``teacher_class_map``, over these and others. Without a
            preprocessor of its own it reads the student's pixels.
        teacher_checkpoint: Path or URL.
        losses: One distillation loss or a list.
        task_weight: Weight of the student's own loss.
        student_init: ``dict(inherit=['head', ...])``, or None.
        data_preprocessor: The student's, if its config has none.
        init_cfg: The student's, instead of its own.
        teacher_class_map: For each class of the student the teacher's, all
            by index or all by name (as in the metadata of its checkpoint),
            where the teacher knows other classes. See :class:`ClassMap` for
            what is then taught. None: the classes are the same.
        teacher_speedup: ``dict(channels_last=True, fold_bn=True, amp=None,
            compile=False)`` or some of it, for the teacher's backbone and
            neck (a network of timm or transformers as a whole); see
            :class:`BaseDistiller`. None: the teacher runs as loaded.
        channels_last: Whether the student's convolutions run in torch's
            channels_last format.

    Raises:
        TypeError: A model gives no maps, or no softmax logits of known
            number, for a loss on these, or its preprocessor has no pixel
            format.
        ValueError: Class counts, the class map, views or labels do not fit.

    Example:
        >>> model = dict(
        ...     _delete_=True,
        ...     type='mmdeepkd.ClassifierDistiller',
        ...     student={{_base_.model}},
        ...     teacher='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        ...     teacher_checkpoint='https://...',
        ...     losses=dict(type='mmdeepkd.DeepKDLoss', temperature=2.))
    """

    model_scope = 'mmpretrain'

    def __init__(self,
                 student: ModelConfig,
                 teacher: ModelConfig,
                 teacher_checkpoint: Optional[str],
                 losses: Union[Dict[str, Any], List[Dict[str, Any]]],
                 task_weight: float = 1.0,
                 student_init: Optional[Dict[str, Any]] = None,
                 data_preprocessor: Optional[Dict[str, Any]] = None,
                 init_cfg: Optional[Dict[str, Any]] = None,
                 teacher_class_map: Optional[ClassMapping] = None,
                 teacher_speedup: Optional[Dict[str, Any]] = None,
                 channels_last: bool = False) -> None:
        student = student_config(
            dict(student=student, data_preprocessor=data_preprocessor))
        teacher = resolve_model_config(teacher, 'teacher')
        teacher.setdefault('data_preprocessor',
                           copy.deepcopy(student.get('data_preprocessor')))
        # It is never trained, and two views refuse augmentations of batches.
        if 'train_cfg' in teacher:
            teacher['train_cfg'] = None
        super().__init__(
            student,
            teacher,
            teacher_checkpoint,
            losses,
            task_weight,
            student_init,
            init_cfg=init_cfg,
            teacher_speedup=teacher_speedup,
            channels_last=channels_last)
        self._pixel_formats = (pixel_format(self.student, 'student'),
                               pixel_format(self.teacher, 'teacher'))
        maps = [reads_maps(loss) for loss in self.losses]
        self._reads_maps, self._reads_logits = any(maps), not all(maps)
        #: Which class of the teacher teaches which; None where no loss
        #: compares logits.
        self.class_map: Optional[ClassMap] = None
        self._capture: Optional[LogitCapture] = None
        if self._reads_logits:
            self._find_logits(teacher_class_map)
        else:
            refuse_class_map(teacher_class_map)
        self._views = check_losses(self.losses, self.data_preprocessor)
        self._build_adapters()

    @property
    def num_logits(self) -> int:
        """Number of classes.

        Raises:
            AttributeError: No loss compares logits.
        """
        if self.class_map is None:
            raise AttributeError(
                'this ClassifierDistiller has no num_logits, for none of its '
                'losses compares logits: add one that does, such as '
                'mmdeepkd.DeepKDLoss, or remove what asks for the number.')
        return self.class_map.num_classes

    def loss(self, inputs: Union[Tensor, Sequence[Tensor]],
             data_samples: Sequence[DataSample]) -> Losses:
        """Return the student's loss and those of the distillation.

        Args:
            inputs: (N, 3, H, W), or with losses of two views the weak and the
                strong batch, each of that shape.
            data_samples: Annotations of the N images.

        Returns:
            ``loss_cls`` and whatever else the student's head returns (two
            views: with ``_weak``, ``_strong``), and
            ``<stream>.loss_<method>``; of losses on features see
            :func:`~mmdeepkd.distillers.features.feature_losses`.

        Raises:
            ValueError: The batch has another number of views than the
                losses, for losses on logits no single labels or a label that
                is no class, or BatchNorm gets a single value.
        """
        views = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if len(views) != self._views:
            raise ValueError(
                f'the batch has {len(views)} view(s) of each image, the '
                f'losses need {self._views}: mmpretrain.MultiView in the '
                'pipeline makes two.')
        target = gather_target(data_samples, self.num_logits) if (
            self._reads_logits) else None
        losses: Losses = {}
        logits_student, logits_teacher = [], []
        for view, suffix in zip(views, VIEW_SUFFIXES[self._views]):
            with self._recording() as maps:
                task, logits = self._run_student(view, data_samples)
                losses.update(task_names(task, suffix))
                logits_student.append(logits)
                logits_teacher.append(self._run_teacher(view, data_samples))
        pair = (logits_student, logits_teacher) if self._views > 1 else (
            logits_student[0], logits_teacher[0])
        for name, loss in self.logit_losses:
            for stream, value in loss(*pair, target).items():
                losses[f'{stream}.{name}'] = value
        for name, loss in self.feature_losses:
            places = self._loss_places[name]
            features = maps.pairs(places) if reads_maps(loss) else {
                place.name: pair for place in places}
            losses.update(self._compare_features(name, loss, features))
        return losses

    def _recording(self) -> ContextManager[BackboneMaps]:
        if not self._reads_maps:
            return nullcontext(BackboneMaps([], []))
        return recording_maps(self.student, self.running_teacher())

    def _find_logits(self, teacher_class_map: Optional[ClassMapping]) -> None:
        """Map the classes, check the losses on logits, record the logits."""
        self.class_map = map_classes(self.student, self.teacher,
                                     teacher_class_map)
        others = self.num_logits - 1
        check_num_logits(self.losses, self.num_logits)
        check_topk(self.losses, others,
                   f'classifiers {others} non-target classes')
        self._capture = LogitCapture(logits_module(self.student, 'student'))

    def _run_student(self, inputs: Tensor,
                     data_samples: Any) -> Tuple[Losses, Optional[Tensor]]:
        with ExitStack() as stack:
            outputs = None if self._capture is None else (
                stack.enter_context(self._capture.recording()))
            stack.enter_context(explain_single_value())
            losses = self.student.loss(
                self._student_inputs(inputs), data_samples)
        return losses, None if outputs is None else (
            check_logits(outputs, self.num_logits, 'student'))

    @torch.no_grad()
    def _run_teacher(self, inputs: Tensor,
                     data_samples: Any) -> Optional[Tensor]:
        source, wanted = self._pixel_formats
        if source != wanted:
            # Of two views img_shape is that of neither.
            shapes = image_shapes(
                inputs, data_samples if self._views == 1 else (),
                source.divisor)
            inputs = convert_pixels(inputs, source, wanted, shapes)
        teacher = self.running_teacher()
        if self.class_map is None:
            # Its maps are recorded; neck and head would run for nothing.
            teacher.backbone(inputs)
            return None
        return self.class_map(
            check_logits([teacher(inputs)],
                         self.class_map.num_classes_teacher, 'teacher'))

    def _places(self, loss: nn.Module) -> List[Place]:
        if reads_maps(loss):
            return map_places(loss, self.student, self.teacher)
        return [Place('logits', 0, 0, self.num_logits, self.num_logits)]

    def _teacher_network(self, teacher: Any) -> Any:
        return network_of(teacher)

    def _teacher_roots(self) -> List[Root]:
        return teacher_roots(self.teacher)
