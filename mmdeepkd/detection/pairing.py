"""Which head of the teacher teaches which head of the student."""
from typing import List, Optional

from mmdet.models.detectors import (
    DetectionTransformer,
    SingleStageDetector,
    TwoStageDetector,
)
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from torch import Tensor, nn

from mmdeepkd.distillers import Classes, ClassMap, ClassMapping, Root

from .roi_capture import as_stages

# How the RoI heads classify that `classify_rois` can stand in for.
_PLAIN_FORWARDS = (StandardRoIHead._bbox_forward,
                   CascadeRoIHead._bbox_forward)
# The neck at once after the backbone.
_PLAIN_FEATURES = (DetectionTransformer.extract_feat,
                   SingleStageDetector.extract_feat,
                   TwoStageDetector.extract_feat)


def check_two_stage(model: nn.Module, role: str) -> None:
    """Raise unless a model classifies RoIs of images with a softmax.

    Args:
        model: Student or teacher.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        TypeError: It has no RoI head with a box head, or one that
            classifies in another way.
        ValueError: Its box head has sigmoid or custom logits.
    """
    roi_head = getattr(model, 'roi_head', None)
    if getattr(roi_head, 'bbox_head', None) is None:
        raise TypeError(
            'DetectorDistiller distils the RoI logits of two-stage detectors '
            f'(Faster, Mask and Cascade R-CNN); the {role} '
            f'{type(model).__name__} has none: distil the feature maps of its '
            'neck, with no other losses than on features, such as '
            'mmdeepkd.DiffKDLoss.')
    if type(roi_head)._bbox_forward not in _PLAIN_FORWARDS:
        raise TypeError(
            f'the {role} has a {type(roi_head).__name__}, whose logits depend '
            'on more than the features of a RoI (a second branch, a semantic '
            'map): use a StandardRoIHead or CascadeRoIHead, or a head that '
            'classifies as they do.')
    for head in as_stages(roi_head.bbox_head):
        loss = head.loss_cls
        if getattr(loss, 'use_sigmoid', False) or getattr(
                loss, 'custom_cls_channels', False):
            raise ValueError(
                f'the box head of the {role} trains sigmoid or custom logits '
                f'({type(loss).__name__}); the distillation losses are '
                'defined for softmax logits: use a softmax cross entropy '
                'as loss_cls.')


def map_classes(student: nn.Module, teacher: nn.Module,
                mapping: Optional[ClassMapping]) -> ClassMap:
    """Return which class of the teacher teaches which of the student.

    Args:
        student: Two-stage detector.
        teacher: Two-stage detector, with its checkpoint's ``class_names``.
        mapping: ``teacher_class_map`` of the distiller.

    Raises:
        TypeError, ValueError: As of :class:`ClassMap`.
    """
    counts = [
        int(as_stages(model.roi_head.bbox_head)[0].num_classes)
        for model in (student, teacher)
    ]
    classes = Classes(counts[0], counts[1], teacher.class_names,
                      'roi_head.bbox_head.num_classes')
    return ClassMap(mapping, classes, background=True)


def pair_stages(num_student: int, num_teacher: int,
                teacher_stage: Optional[int]) -> List[int]:
    """Return the teacher's stage for each stage of the student.

    Stage i learns from stage i of a Cascade teacher, or from the one head of
    a Faster teacher; a Faster student from stage 0 of a Cascade teacher,
    whose boxes are RPN proposals too.

    Args:
        num_student: Stages of the student.
        num_teacher: Stages of the teacher.
        teacher_stage: One stage for all instead.

    Raises:
        ValueError: The stage does not exist, or the counts cannot be paired.
    """
    if teacher_stage is not None:
        if not 0 <= teacher_stage < num_teacher:
            raise ValueError(
                f'teacher_stage={teacher_stage} does not exist: the teacher '
                f'has {num_teacher} stage(s), counted from 0.')
        return [teacher_stage] * num_student
    if num_teacher == 1:
        return [0] * num_student
    if num_student > num_teacher:
        raise ValueError(
            f'the student has {num_student} stages, the teacher '
            f'{num_teacher}: set teacher_stage to the one that teaches all.')
    return list(range(num_student))


def teacher_roots(model: nn.Module, rois: bool) -> List[Root]:
    """Return the dense parts of a teacher that run.

    The RoI extractor between them is not one: mmcv's operators know neither
    bfloat16 on the CPU nor channels_last.

    Args:
        model: The teacher.
        rois: Whether it classifies RoIs.
    """
    # Its neck follows at once, and has weights in the same format; without
    # such, it may hand that format on to RoIAlign.
    direct = model.with_neck and (
        type(model).extract_feat in _PLAIN_FEATURES) and any(
            p.dim() == 4 for p in model.neck.parameters())
    roots = [Root('backbone', contiguous=not direct)]
    if model.with_neck:
        roots.append(Root('neck', contiguous=True))
    return roots + _head_roots(model.roi_head) if rois else roots


def _head_roots(roi_head: nn.Module) -> List[Root]:
    name = 'roi_head.bbox_head'
    roots = [Root('roi_head.shared_head', contiguous=True)
             ] if roi_head.with_shared_head else []
    if isinstance(roi_head.bbox_head, nn.ModuleList):
        stages = len(roi_head.bbox_head)
        return roots + [Root(f'{name}.{i}', True) for i in range(stages)]
    return [*roots, Root(name, contiguous=True)]


def classify_rois(model: nn.Module, features: List[Tensor], rois: Tensor,
                  stage: int) -> Tensor:
    """Return the logits a two-stage detector gives to boxes.

    Args:
        model: The detector.
        features: Its feature maps.
        rois: (R, 5): index of the image, then x1, y1, x2, y2.
        stage: Stage of the RoI head.

    Returns:
        (R, C), background last.
    """
    roi_head = model.roi_head
    extractor = as_stages(roi_head.bbox_roi_extractor)[stage]
    roi_features = extractor(features[:extractor.num_inputs], rois)
    if roi_head.with_shared_head:
        roi_features = roi_head.shared_head(roi_features)
    logits: Tensor = as_stages(roi_head.bbox_head)[stage](roi_features)[0]
    return logits
