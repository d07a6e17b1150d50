"""Which boxes are judged before a detector trains on them."""
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes
from mmengine.structures import InstanceData

from mmdeepkd.detection.annotations import check_annotations


def box_type(numbers):
    """A box type of mmdet without its operations, which are not needed."""
    operations = dict.fromkeys(BaseBoxes.__abstractmethods__)
    return type('Boxes', (BaseBoxes, ), dict(operations, box_dim=numbers))


# A box without area if the numbers were (x1, y1, x2, y2).
CENTERS = torch.tensor([[30., 30., 10., 9.]])
ROTATED = torch.tensor([[30., 30., 10., 9., -0.5]])
OTHERS = {
    'rotated': box_type(5)(ROTATED),
    'rotated, as the preprocessor leaves them': ROTATED,
    'four numbers of another meaning': box_type(4)(CENTERS),
}
HORIZONTAL = {'tensor': CENTERS, 'box type': HorizontalBoxes(CENTERS)}


def samples(boxes, label=0):
    return [
        DetDataSample(
            metainfo=dict(img_path='1.png'),
            gt_instances=InstanceData(
                bboxes=boxes, labels=torch.full((len(boxes), ), label)))
    ]


@pytest.mark.parametrize('case', OTHERS)
def test_boxes_of_other_types_are_not_judged(case):
    check_annotations(samples(OTHERS[case]), 3)


@pytest.mark.parametrize('case', OTHERS)
def test_labels_of_other_boxes_are_judged(case):
    with pytest.raises(ValueError, match='a box of class 3, the detector the'):
        check_annotations(samples(OTHERS[case], label=3), 3)


@pytest.mark.parametrize('case', HORIZONTAL)
def test_horizontal_boxes_are_judged(case):
    with pytest.raises(ValueError, match='1.png has the box .* no finite ar'):
        check_annotations(samples(HORIZONTAL[case]), 3)
