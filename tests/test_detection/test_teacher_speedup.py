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
    distiller_config,
    make_distiller,
    write_teacher,
)
from tests.helpers.training import distilled, loss_dict, train_steps

DETECTORS = [faster_rcnn, cascade_rcnn, mask_rcnn, c4_faster_rcnn]


def four_convs():
    """With convolutions and BatchNorms in the box head."""
    config = faster_rcnn()
    config['roi_head']['bbox_head'].update(
        type='mmdet.Shared4Conv1FCBBoxHead', conv_out_channels=8,
        norm_cfg=dict(type='BN'))
    return config


def lively(config, path):
    """Save a teacher whose BatchNorms and logits say something."""
    write_teacher(config, path)
    saved = torch.load(path)
    for name, value in saved['state_dict'].items():
        if name.endswith('running_mean'):
            value.normal_()
        elif name.endswith('running_var'):
            value.uniform_(0.5, 2)
        elif name.endswith('fc_cls.weight'):
            value.normal_()
    torch.save(saved, path)
    return str(path)


def pair(folder, teacher, student=None, **speedup):
    """Build a distiller with the speed-up and one without."""
    checkpoint = lively(teacher, folder / 'teacher.pth')
    built = []
    for kwargs in (dict(teacher_speedup=speedup), {}):
        torch.manual_seed(0)
        distiller = build_detector(distiller_config(
            student or faster_rcnn(), teacher, checkpoint, **kwargs))
        distiller.init_weights()
        built.append(distiller.train())
    return built


def losses_of(distiller, seed=0, **batch):
    torch.manual_seed(seed)
    return {name: loss.detach() for name, loss in distilled(
        loss_dict(distiller, detection_batch(**batch))).items()}


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


@pytest.mark.parametrize('teacher', [*DETECTORS, four_convs])
def test_the_roi_extractor_reads_contiguous_float32(teacher, tmp_path):
    """mmcv's RoIAlign reads channels_last features wrongly, silently."""
    student = cascade_rcnn() if teacher is cascade_rcnn else None
    fast, _ = pair(tmp_path, teacher(), student, amp='bf16')
    extractor = fast.teacher.roi_head.bbox_roi_extractor
    seen = []
    for part in extractor if teacher is cascade_rcnn else [extractor]:
        part.register_forward_pre_hook(
            lambda module, args: seen.extend(args[0]))
    losses_of(fast)

    assert seen
    assert all(t.is_contiguous() and t.dtype == torch.float32 for t in seen)


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


def test_the_maps_between_backbone_and_neck_stay_channels_last(tmp_path):
    fast, _ = pair(tmp_path, faster_rcnn())
    formats = []
    losses_of(fast)
    fast.teacher.neck.register_forward_pre_hook(
        lambda module, args: formats.extend(
            t.is_contiguous(memory_format=torch.channels_last)
            for t in args[0]))
    losses_of(fast)

    assert formats == [True] * 4


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
