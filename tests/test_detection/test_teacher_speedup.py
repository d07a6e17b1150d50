"""A faster teacher gives the same logits to the same RoIs."""
import pytest
import torch
from mmengine.logging import MMLogger

from mmdeepkd.detection.pairing import classify_rois
from mmdeepkd.distillers.speedup import AcceleratedModule, is_accelerated
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import (
    c4_faster_rcnn,
    cascade_rcnn,
    faster_rcnn,
    mask_rcnn,
)
from tests.helpers.distillers import (
    NoProposals,
    build_detector,
    make_distiller,
)
from tests.helpers.lively import has_a_say
from tests.helpers.teacher_pairs import four_convs, losses_of, pair
from tests.helpers.training import train_steps

DETECTORS = [faster_rcnn, cascade_rcnn, mask_rcnn, c4_faster_rcnn]


@pytest.mark.parametrize('weight', [
    'layer1.0.conv1.weight', 'layer1.1.conv2.weight'])
def test_the_blocks_of_these_teachers_do_something(weight, tmp_path):
    """Else nothing that goes wrong inside of one would be seen."""
    distiller, _ = pair(tmp_path, faster_rcnn())

    assert has_a_say(
        distiller.teacher.backbone, weight, torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize('teacher', [*DETECTORS, four_convs])
@pytest.mark.parametrize('amp, tolerance', [(None, 1e-4), ('bf16', 0.05)])
def test_the_losses_are_the_same_but_for_rounding(teacher, amp, tolerance,
                                                  tmp_path):
    student = cascade_rcnn() if teacher is cascade_rcnn else None
    fast, plain = pair(tmp_path, teacher(), student, amp=amp)
    for seed in range(2):
        found, expected = (losses_of(d, seed) for d in (fast, plain))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(float(value), rel=tolerance)


def test_synchronised_norms_of_the_registry_are_folded(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    teacher = faster_rcnn()
    teacher['backbone']['norm_cfg'] = dict(type='SyncBN')
    fast, plain = pair(tmp_path, teacher)
    found, expected = (losses_of(d) for d in (fast, plain))

    assert [text for text in texts if text.startswith(
        'teacher_speedup: backbone: 20 of 20 BatchNorms folded')]
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4)


@pytest.mark.parametrize('teacher, roots', [
    (faster_rcnn, ['backbone', 'neck', 'roi_head.bbox_head']),
    (c4_faster_rcnn, ['backbone', 'roi_head.shared_head',
                      'roi_head.bbox_head']),
    (cascade_rcnn, ['backbone', 'neck', 'roi_head.bbox_head.0']),
], ids=['faster', 'c4', 'cascade'])
def test_each_dense_part_that_runs_is_logged(teacher, roots, tmp_path,
                                             monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    fast, _ = pair(tmp_path, teacher(), amp='bf16')
    losses_of(fast)

    assert [text.split(': ')[1] for text in texts
            if text.startswith('teacher_speedup')] == roots


def test_a_batch_without_rois_waits_for_one_with(tmp_path):
    fast, plain = pair(tmp_path, faster_rcnn(), amp='bf16')
    head = fast.rpn_head
    fast.rpn_head = NoProposals(head)
    fast.roi_head.bbox_sampler.add_gt_as_proposals = False
    losses_of(fast)
    box_head = fast.teacher.roi_head.bbox_head
    assert type(box_head) is AcceleratedModule and not box_head._ready

    fast.rpn_head = head
    fast.roi_head.bbox_sampler.add_gt_as_proposals = True
    found, expected = (losses_of(d) for d in (fast, plain))
    assert box_head._ready
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=0.05)


@pytest.mark.parametrize('amp', [None, 'bf16'])
def test_the_teacher_still_detects(amp, tmp_path):
    """Its own RPN and post-processing, as tools/check_teacher.py runs it."""
    fast, plain = pair(tmp_path, faster_rcnn(), amp=amp)
    found, expected = (
        d.running_teacher().test_step(detection_batch()) for d in (
            fast, plain))

    assert is_accelerated(fast.teacher)
    for a, b in zip(found, expected):
        assert len(b.pred_instances) > 0
        if amp is None:
            torch.testing.assert_close(
                a.pred_instances.scores, b.pred_instances.scores, rtol=1e-3,
                atol=1e-5)
            torch.testing.assert_close(
                a.pred_instances.bboxes, b.pred_instances.bboxes, rtol=1e-3,
                atol=1e-2)


def test_nothing_of_it_is_in_the_distiller(tmp_path):
    fast, plain = pair(tmp_path, faster_rcnn())
    log, = train_steps(fast)

    assert torch.isfinite(log['loss']) and is_accelerated(fast.teacher)
    assert list(fast.state_dict()) == list(plain.state_dict())
    build_detector(faster_rcnn()).load_state_dict(
        fast.state_dict(), strict=True)


def test_the_student_inherits_what_was_loaded(tmp_path):
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(), teacher_speedup=dict(),
        student_init=dict(inherit=['neck']))
    saved = torch.load(tmp_path / 'teacher.pth')['state_dict']

    assert all(torch.equal(distiller.state_dict()[name], value)
               for name, value in saved.items() if name.startswith('neck'))


def test_logits_of_the_same_rois_in_double_precision(tmp_path):
    fast, plain = (d.teacher if i else d.running_teacher() for i, d in
                   enumerate(pair(tmp_path, four_convs())))
    torch.manual_seed(0)
    corner = torch.rand(6, 2) * 30
    rois = torch.cat([torch.zeros(6, 1), corner, corner + 30], 1).double()
    x = torch.randn(1, 3, 64, 64).double()
    found, expected = (
        classify_rois(t.double(), t.double().extract_feat(x), rois, 0)
        for t in (fast, plain))

    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)
