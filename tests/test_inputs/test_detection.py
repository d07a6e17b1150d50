"""What detection sets hold: trained through or refused, never NaN."""
import copy

import pytest
import torch
from mmengine.structures import InstanceData

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import c4_faster_rcnn, cascade_rcnn, faster_rcnn
from tests.helpers.distillers import NoProposals, make_distiller
from tests.helpers.training import distilled, train_steps

LOSSES = [
    dict(type='mmdeepkd.KDLoss'),
    dict(type='mmdeepkd.DKDLoss'),
    dict(type='mmdeepkd.DeepKDLoss', topk=2),
    dict(type='mmdeepkd.DeepKDLoss', base='dkd', standardize=True),
    dict(type='mmdeepkd.GDKDLoss', k=2),
    dict(type='mmdeepkd.GDKDSLoss'),
    dict(type='mmdeepkd.ForegroundLoss', loss=dict(type='mmdeepkd.DKDLoss')),
    dict(type='mmdeepkd.DISTLoss'),
]
DETECTORS = {'faster': faster_rcnn, 'cascade': cascade_rcnn}
CLASSES = 3
SIZE = 64


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Return distillers with every loss at once."""
    return {
        name: make_distiller(
            tmp_path_factory.mktemp(name), detector(), detector(width=6),
            losses=LOSSES) for name, detector in DETECTORS.items()
    }


def with_boxes(*boxes, images=(0, 1), label=None, sizes=None):
    """Return a batch, some of whose images have these boxes instead."""
    batch = detection_batch(
        images=len(sizes or (0, 1)), size=SIZE, sizes=sizes)
    for i in images:
        labels = torch.arange(len(boxes)) % CLASSES
        batch['data_samples'][i].gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float).reshape(-1, 4),
            labels=labels if label is None else torch.full_like(labels, label))
    return batch


def with_crowds(*boxes):
    """Return a batch with boxes that mmdet ignores."""
    batch = detection_batch(size=SIZE)
    for sample in batch['data_samples']:
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float),
            labels=torch.zeros(len(boxes), dtype=torch.long))
    return batch


TRAINED = {
    'no box on one image': with_boxes(images=[0]),
    'no box on any image': with_boxes(),
    'no box on the only image': with_boxes(images=[0], sizes=[(70, 64)]),
    'boxes of one pixel': with_boxes([5, 5, 6, 6], [63, 63, 64, 64]),
    'boxes of a hundredth': with_boxes([5, 5, 5.01, 5.01]),
    'boxes over the border': with_boxes([-30, -30, 9, 9], [60, 60, 200, 90]),
    'boxes outside': with_boxes([99, 99, 140, 120], [-50, -50, -20, -20]),
    'one box over all': with_boxes([0, 0, SIZE, SIZE]),
    'the same box often': with_boxes(*[[5, 5, 40, 40]] * 50),
    'crowds over all': with_crowds([0, 0, SIZE, SIZE]),
    'crowds without area': with_crowds([9, 9, 9, 9]),
    'one image': detection_batch(images=1, sizes=[(70, 64)]),
    'several sizes': detection_batch(sizes=[(64, 64), (33, 91)]),
    'images below the stride': detection_batch(sizes=[(8, 8), (9, 5)]),
}
AREA = r'the image 1\.png has the box \[{}\] \(x1, y1, x2, y2\), which has no'
LABEL = r'the image 1\.png has a box of class {}, the detector the classes 0'
REFUSED = {
    'a box without area': (with_boxes([5, 5, 5, 5], images=[1]),
                           AREA.format('5.0, 5.0, 5.0, 5.0')),
    'a box without width': (with_boxes([5, 5, 5, 9], images=[1]),
                            AREA.format('5.0, 5.0, 5.0, 9.0')),
    'corners swapped': (with_boxes([9, 9, 5, 5], images=[1]),
                        AREA.format('9.0, 9.0, 5.0, 5.0')),
    'a corner that is NaN': (with_boxes([5, 5, float('nan'), 9], images=[1]),
                             AREA.format('5.0, 5.0, nan, 9.0')),
    'an infinite box': (with_boxes([5, 5, float('inf'), 9], images=[1]),
                        AREA.format('5.0, 5.0, inf, 9.0')),
    # Background to mmdet, which would train on it without a word.
    'the label of background': (with_boxes([5, 5, 9, 9], images=[1], label=3),
                                LABEL.format(3)),
    'a label above': (with_boxes([5, 5, 9, 9], images=[1], label=90),
                      LABEL.format(90)),
    'a label below': (with_boxes([5, 5, 9, 9], images=[1], label=-1),
                      LABEL.format(-1)),
    'one image of one value': (detection_batch(images=1, sizes=[(8, 8)]),
                               'a BatchNorm of the student got a single value '
                               r'.*: set drop_last=True in train_dataloader'),
}


def assert_trains(distiller, batch):
    """Take two steps; losses and weights are finite, and the net moves."""
    before = copy.deepcopy(distiller.state_dict())
    logs = train_steps(distiller, 2, batch=batch)

    after = distiller.state_dict()
    for log in logs:
        assert torch.stack(list(log.values())).isfinite().all()
    assert all(value.isfinite().all() for value in after.values())
    name = 'backbone.conv1.weight'
    assert not torch.equal(after[name], before[name])
    return logs[0]


@pytest.mark.parametrize('case', TRAINED)
@pytest.mark.parametrize('detector', DETECTORS)
def test_trained_through(detector, case, built):
    log = assert_trains(copy.deepcopy(built[detector]), TRAINED[case])

    stages = 3 if detector == 'cascade' else 1
    assert len(distilled(log)) == 14 * stages


@pytest.mark.parametrize('case', REFUSED)
def test_refused_with_the_images_name(case, built):
    batch, message = REFUSED[case]

    with pytest.raises(ValueError, match=message):
        train_steps(copy.deepcopy(built['faster']), batch=batch)


@pytest.mark.parametrize('detector', DETECTORS)
def test_no_roi_is_no_distillation(detector, built):
    distiller = copy.deepcopy(built[detector])
    distiller.rpn_head = NoProposals(distiller.rpn_head)

    log = assert_trains(distiller, with_boxes())
    assert len(distilled(log)) >= 14
    assert not torch.stack(list(distilled(log).values())).any()


PAIRS = {
    'another divisor': (64, faster_rcnn),
    'a divisor of its own': (48, faster_rcnn),
    'no divisor': (1, faster_rcnn),
    'another stride': (16, c4_faster_rcnn),
}


@pytest.mark.parametrize('pair', PAIRS)
def test_teachers_of_other_strides(pair, tmp_path):
    """Boxes are in the pixels of the batch, whatever the feature maps."""
    divisor, detector = PAIRS[pair]
    teacher = detector()
    teacher['data_preprocessor'].update(
        pad_size_divisor=divisor, mean=[0.] * 3, std=[255.] * 3)
    distiller = make_distiller(
        tmp_path, faster_rcnn(), teacher, losses=LOSSES)
    seen = []
    distiller.teacher.backbone.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].shape[-2:]))

    assert_trains(distiller, detection_batch(sizes=[(65, 70), (33, 91)]))
    # The batch as the student has it, 96 x 96, rounded up.
    assert set(seen) == {(-(-96 // divisor) * divisor, ) * 2}


def test_one_class_has_nothing_beside_the_target(tmp_path, warnings):
    """With background two logits, of which one is always the target."""
    losses = [loss for loss in LOSSES if 'topk' not in loss]
    distiller = make_distiller(
        tmp_path, faster_rcnn(1), faster_rcnn(1, width=6), losses=losses)

    log = assert_trains(distiller, detection_batch(num_classes=1))
    assert log['non_target.loss_dkd'] == 0
    assert log['target.loss_dkd'] > 0
    # Once, of the losses that have a target, not of KD, GDKD and DIST.
    warning, = [text for text in warnings if 'of two logits' in text]
    assert warning.startswith(
        'DKDLoss, DeepKDLoss, GDKDSLoss, ForegroundLoss: ')


def test_more_groups_than_classes(tmp_path):
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(),
        losses=dict(type='mmdeepkd.GDKDLoss', k=5))

    with pytest.raises(ValueError, match=(
            'k is 5 but the logits have 4 class columns: choose k from 1 to')):
        train_steps(distiller)


def test_pixels_that_are_nan_stop_the_run(built):
    batch = detection_batch()
    batch['inputs'] = [pixels.float() for pixels in batch['inputs']]
    batch['inputs'][0][0, 3, 3] = float('nan')

    with pytest.raises(FloatingPointError, match=(
            r'the loss loss_rpn_cls \(stream task\) is nan')):
        train_steps(copy.deepcopy(built['faster']), batch=batch)


def test_a_broken_teacher_is_named_by_its_loss(tmp_path):
    """Such as one whose own training diverged."""
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn())
    distiller.teacher.roi_head.bbox_head.fc_cls.bias.fill_(float('nan'))
    before = [p.clone() for p in distiller.parameters()]

    with pytest.raises(FloatingPointError, match=(
            r'the loss target\.loss_deepkd \(stream target\) is nan')):
        train_steps(distiller)
    assert all(map(torch.equal, distiller.parameters(), before))
