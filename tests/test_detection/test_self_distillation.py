"""A student that equals its teacher has nothing to learn from it."""
import copy

import pytest
import torch
from mmengine.logging import MessageHub

from mmdeepkd.detection.roi_capture import as_stages
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import (
    c4_faster_rcnn,
    cascade_rcnn,
    faster_rcnn,
    mask_rcnn,
)
from tests.helpers.distillers import make_distiller
from tests.helpers.training import distilled, loss_dict

LOSSES = [
    dict(type='mmdeepkd.KDLoss', temperature=1.),
    dict(type='mmdeepkd.DKDLoss', temperature=1.),
    dict(type='mmdeepkd.DeepKDLoss', base='kd', standardize=True),
    dict(type='mmdeepkd.DeepKDLoss', base='dkd', topk=2),
]
OTHER_PIXELS = dict(
    mean=[103.53, 116.28, 123.675],
    std=[1.0, 2.0, 3.0],
    bgr_to_rgb=False,
    pad_value=7,
    pad_size_divisor=48)


def copy_teacher(distiller):
    """Give the student the teacher's weights, made large enough to see."""
    with torch.no_grad():
        for head in distiller.teacher.roi_head.modules():
            if hasattr(head, 'fc_cls'):
                head.fc_cls.weight.mul_(30)
    distiller.load_state_dict(
        copy.deepcopy(distiller.teacher.state_dict()), strict=True)


def in_eval(detector):
    return lambda: detector(norm_eval=True)


@pytest.mark.parametrize('detector, masks', [
    (in_eval(faster_rcnn), False),
    (in_eval(mask_rcnn), True),
    (in_eval(cascade_rcnn), False),
    (c4_faster_rcnn, False),
], ids=['faster', 'mask', 'cascade', 'c4'])
def test_every_distillation_loss_is_zero(detector, masks, tmp_path):
    model = detector()
    distiller = make_distiller(tmp_path, model, model, losses=LOSSES)
    distiller.train()
    before = distilled(loss_dict(distiller, detection_batch(masks=masks)))
    copy_teacher(distiller)
    after = distilled(loss_dict(distiller, detection_batch(masks=masks)))

    stages = len(as_stages(distiller.roi_head.bbox_head))
    assert len(after) == 7 * stages
    assert max(before.values()) > 1e-4
    for name, loss in after.items():
        assert abs(float(loss)) < 1e-5, name


@pytest.mark.parametrize('swapped', [False, True])
def test_the_teacher_sees_its_own_pixels(swapped, tmp_path):
    """Its logits are those it computes alone, from its own preprocessor."""
    student, teacher = faster_rcnn(), faster_rcnn(width=6)
    other = student if swapped else teacher
    other['data_preprocessor'].update(OTHER_PIXELS)
    if swapped:
        # The batch grows to the larger of the two divisors, which padding
        # alone may change: let the teacher's be a multiple here.
        teacher['data_preprocessor']['pad_size_divisor'] = 96
    distiller = make_distiller(tmp_path, student, teacher)
    head = distiller.teacher.roi_head
    seen = {}
    head.bbox_roi_extractor.register_forward_pre_hook(
        lambda module, args: seen.update(rois=args[1]))
    handle = head.bbox_head.register_forward_hook(
        lambda module, args, out: seen.update(logits=out[0]))
    batch = detection_batch(sizes=[(60, 90), (75, 50)])
    distiller.train()
    loss_dict(distiller, batch)
    handle.remove()

    alone = distiller.teacher.data_preprocessor(batch, training=True)
    with torch.no_grad():
        features = distiller.teacher.extract_feat(alone['inputs'])
        expected = head._bbox_forward(features, seen['rois'])['cls_score']
    assert expected.std() > 1e-3
    torch.testing.assert_close(
        seen['logits'], expected, rtol=1e-4, atol=1e-4)


def test_batch_augmentation_runs_once(tmp_path):
    student, teacher = faster_rcnn(), faster_rcnn()
    student['data_preprocessor']['batch_augments'] = [
        dict(
            type='mmdet.BatchSyncRandomResize',
            random_size_range=(64, 160),
            interval=1,
            size_divisor=32)
    ]
    teacher['data_preprocessor'].update(mean=[0., 0., 0.], std=[1., 1., 1.])
    distiller = make_distiller(tmp_path, student, teacher)
    inputs = []
    for model in (distiller.backbone, distiller.teacher.backbone):
        model.register_forward_pre_hook(
            lambda module, args: inputs.append(args[0]))
    sizes = set()
    for seed in range(4):
        MessageHub.get_current_instance().update_info('iter', seed)
        batch = detection_batch(seed=seed)
        loss_dict(distiller, batch)
        own, taught = inputs[-2:]
        sizes.add(tuple(own.shape[-2:]))
        torch.testing.assert_close(
            taught,
            own * torch.tensor([60., 58., 57.]).view(3, 1, 1) +
            torch.tensor([120., 115., 100.]).view(3, 1, 1),
            rtol=1e-4,
            atol=1e-3)
    assert len(sizes) > 1
