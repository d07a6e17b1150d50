"""Annotations that mmdet would turn into a NaN or a wrong label."""
from typing import Any, List, Optional, Union

import torch
from mmdet.models.detectors import RPN
from mmdet.structures import SampleList
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_tensor
from torch import Tensor, nn

from .roi_capture import as_stages


def count_classes(model: nn.Module) -> Optional[int]:
    """Return the number of classes that a detector's labels may have.

    Args:
        model: Of one stage or two.

    Returns:
        C, without background; None where the detector does not tell.
    """
    if isinstance(model, RPN):
        # It takes all boxes for one class, whatever their labels.
        return None
    head = getattr(getattr(model, 'roi_head', model), 'bbox_head', None)
    found = None if head is None else (
        getattr(as_stages(head)[0], 'num_classes', None))
    return None if found is None else int(found)


def check_annotations(data_samples: SampleList,
                      num_classes: Optional[int]) -> None:
    """Raise if an image has a box or a label that cannot be trained on.

    A box without area has the regression target log(0), so that a NaN
    reaches every weight; a label of ``num_classes`` is background to mmdet,
    and one above it stops a GPU without a message. Boxes of other types than
    mmdet's horizontal ones, such as rotated ones, (n, 5), are not judged.

    The host waits once for the device, which assigning and sampling boxes
    make it do many times: the preprocessor has moved the annotations there
    (under DDP it is called outside of the model) and may have altered them.

    Args:
        data_samples: Annotations of the N images.
        num_classes: C, without background; None: any label is right.

    Raises:
        ValueError: A box is not finite or has no area, or a label is not in
            0 to C - 1. The message names the image.
    """
    instances = [sample.gt_instances for sample in data_samples]
    if not any(map(len, instances)):
        return
    bad = [_bad_boxes(found.bboxes) for found in instances]
    if num_classes is not None:
        bad = [rows | _bad_labels(found.labels, num_classes)
               for rows, found in zip(bad, instances)]
    if not torch.cat(bad).any():
        return
    number = [bool(rows.any()) for rows in bad].index(True)
    index = int(bad[number].nonzero()[0])
    name = data_samples[number].get('img_path', f'number {number} of a batch')
    label = int(instances[number].labels[index])
    if num_classes is not None and not 0 <= label < num_classes:
        raise ValueError(
            f'the image {name} has a box of class {label}, the detector the '
            f'classes 0 to {num_classes - 1}: set num_classes of its box '
            'head to that of the dataset, or correct the annotation.')
    box = _shown(get_box_tensor(instances[number].bboxes)[index])
    raise ValueError(
        f'the image {name} has the box {box} (x1, y1, x2, y2), which has no '
        'finite area and would make the loss NaN: correct the annotation, or '
        "drop such boxes with dict(type='mmdet.FilterAnnotations', "
        'min_gt_bbox_wh=(0.01, 0.01)) before PackDetInputs in the train '
        'pipeline.')


def _bad_boxes(found: Union[Tensor, BaseBoxes]) -> Tensor:
    boxes = get_box_tensor(found)
    if not isinstance(found, (Tensor, HorizontalBoxes)) or (
            boxes.shape[1:] != (4, )):
        return boxes.new_zeros(len(boxes), dtype=torch.bool)
    extent = boxes[:, 2:] - boxes[:, :2]
    # Not `<= 0`: NaN must be bad too.
    return ~((extent > 0) & boxes.isfinite().view(-1, 2, 2).all(1)).all(1)


def _bad_labels(labels: Tensor, num_classes: int) -> Tensor:
    return (labels < 0) | (labels >= num_classes)


def _shown(box: Tensor) -> List[Any]:
    return [round(value, 2) for value in box.tolist()]
