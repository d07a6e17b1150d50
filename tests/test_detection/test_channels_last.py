"""A detector that trains in channels_last is the same student."""
import copy

import pytest
import torch
from mmcv.ops import ModulatedDeformConv2dPack, RoIAlign
from torch import nn

from mmdeepkd.distillers.channels_last import to_channels_last
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import build_detector, make_distiller
from tests.helpers.training import equal_tensors, loss_dict, train_steps


def pair(folder, student):
    return [make_distiller(folder, student(), faster_rcnn(), **kwargs)
            for kwargs in (dict(channels_last=True), {})]


def is_channels_last(tensor):
    return not tensor.is_contiguous() and tensor.is_contiguous(
        memory_format=torch.channels_last)


@pytest.mark.parametrize('student', [faster_rcnn, cascade_rcnn, mask_rcnn])
def test_losses_are_the_same_but_for_rounding(student, tmp_path):
    fast, plain = pair(tmp_path, student)
    batch = detection_batch(masks=student is mask_rcnn)
    assert equal_tensors(fast.state_dict(), plain.state_dict())
    found = []
    for distiller in (fast, plain):
        torch.manual_seed(0)
        found.append(distiller.train().parse_losses(
            loss_dict(distiller, batch))[1])

    assert found[0].keys() == found[1].keys()
    for name, value in found[1].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-4,
                                   atol=1e-6)


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_roi_align_reads_contiguous_maps(mode, tmp_path):
    fast, _ = pair(tmp_path, mask_rcnn)
    levels, read = [], []
    fast.neck.register_forward_hook(
        lambda module, args, output: levels.extend(output))
    for extractor in (fast.roi_head.bbox_roi_extractor,
                      fast.roi_head.mask_roi_extractor):
        for layer in extractor.roi_layers:
            layer.register_forward_pre_hook(
                lambda module, args: read.append(args[0]))
    if mode == 'loss':
        loss_dict(fast.train(), detection_batch(masks=True))
    else:
        fast.eval().test_step(detection_batch(masks=True))

    assert any(map(is_channels_last, levels))
    assert read and all(t.is_contiguous() for t in read)


def test_the_trained_file_is_right_in_plain_mmdet(tmp_path):
    fast, _ = pair(tmp_path, faster_rcnn)
    log = train_steps(fast, 2)[-1]
    torch.save(fast.state_dict(), tmp_path / 'student.pth')
    state = torch.load(tmp_path / 'student.pth', weights_only=True)
    assert any(map(is_channels_last, state.values()))
    plain = build_detector(faster_rcnn())
    plain.load_state_dict(state, strict=True)

    assert torch.isfinite(log['loss'])
    assert not any(map(is_channels_last, plain.parameters()))
    ours, theirs = (m.eval().test_step(detection_batch())
                    for m in (fast, plain))
    for one, other in zip(ours, theirs):
        assert len(one.pred_instances) > 0
        torch.testing.assert_close(
            one.pred_instances.scores, other.pred_instances.scores,
            rtol=1e-4, atol=1e-6)


def test_training_in_float64_is_the_same(tmp_path):
    """The dense parts; mmdet's boxes are float32 in places."""
    fast, plain = (d.double() for d in pair(tmp_path, faster_rcnn))
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    grads = []
    for distiller in (fast, plain):
        maps = distiller.extract_feat(distiller._student_inputs(x))
        sum(m.square().mean() for m in maps).backward()
        grads.append([p.grad for p in distiller.backbone.parameters()])

    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert any(map(is_channels_last, grads[0]))


def test_a_copy_reads_contiguous_maps_too(tmp_path):
    fast, plain = pair(tmp_path, faster_rcnn)
    twin = copy.deepcopy(fast)
    ours, theirs = (m.eval().test_step(detection_batch())
                    for m in (twin, plain))

    for one, other in zip(ours, theirs):
        torch.testing.assert_close(
            one.pred_instances.scores, other.pred_instances.scores,
            rtol=1e-4, atol=1e-6)


def test_other_operators_of_mmcv_are_refused(tmp_path):
    student = faster_rcnn()
    student['backbone'].update(
        depth=50, dcn=dict(type='DCNv2', deform_groups=1,
                           fallback_on_stride=False),
        stage_with_dcn=(False, False, False, True))
    student['neck']['in_channels'] = [16, 32, 64, 128]
    with pytest.raises(ValueError, match=(
            r'the student has channels_last=True and 3 of its modules, such '
            r"as backbone\.layer4\.0\.conv2, are mmcv's "
            'ModulatedDeformConv2dPack, which may read that format wrongly: '
            'leave channels_last out')):
        make_distiller(tmp_path, student, faster_rcnn(), channels_last=True)


class OwnConv(ModulatedDeformConv2dPack):
    """A class of a project's own."""


class OwnRoIAlign(RoIAlign):
    """A class of a project's own."""


def test_what_inherits_from_an_operator_is_one():
    with pytest.raises(ValueError, match=(
            r"modules, such as 1, are mmcv's ModulatedDeformConv2dPack, which "
            'may read')):
        to_channels_last(nn.Sequential(
            nn.Conv2d(3, 3, 3), OwnConv(3, 3, 3)))

    net = nn.Sequential(OwnRoIAlign(2))
    maps = torch.randn(1, 3, 8, 8)
    rois = torch.tensor([[0, 1., 1., 6., 7.]])
    expected = net[0](maps, rois)
    to_channels_last(net)
    found = net[0](maps.contiguous(memory_format=torch.channels_last), rois)
    assert torch.equal(found, expected)
