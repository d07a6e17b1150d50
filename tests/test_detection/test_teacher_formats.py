"""mmcv's operators read channels_last maps wrongly, silently."""
import pytest
import torch
from mmdet.models.detectors import FasterRCNN
from mmengine.registry import MODELS
from torch import nn

from tests.helpers.detectors import (
    c4_faster_rcnn,
    cascade_rcnn,
    faster_rcnn,
    mask_rcnn,
)
from tests.helpers.teacher_pairs import four_convs, losses_of, pair


class ScaleNeck(nn.Module):
    """Without a convolution."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.fc = nn.Linear(channels, channels)

    def forward(self, maps):
        return tuple(m * self.scale for m in maps)

    def init_weights(self):
        pass


class BesideNeck(FasterRCNN):
    """Its RoIs are read off the maps of the backbone."""

    def extract_feat(self, batch_inputs):
        maps = self.backbone(batch_inputs)
        self.neck(maps)
        return maps


@pytest.fixture
def registered():
    for kind in (ScaleNeck, BesideNeck):
        MODELS.register_module(module=kind)
    yield
    for kind in (ScaleNeck, BesideNeck):
        MODELS._module_dict.pop(kind.__name__)


def one_level(neck=None, kind=None):
    """With one map, of the backbone's channels."""
    config = faster_rcnn(width=8, channels=8)
    config['backbone'].update(
        num_stages=1, out_indices=(0, ), strides=(1, ), dilations=(1, ))
    config['neck'].update(in_channels=[8], num_outs=1)
    config['neck'] = neck or config['neck']
    config['type'] = kind or config['type']
    config['rpn_head']['anchor_generator']['strides'] = [4]
    config['roi_head']['bbox_roi_extractor']['featmap_strides'] = [4]
    return config


def deformable():
    config = faster_rcnn()
    config['backbone'].update(
        depth=50, dcn=dict(type='DCNv2', deform_groups=1,
                           fallback_on_stride=False),
        stage_with_dcn=(False, False, False, True))
    config['neck']['in_channels'] = [16, 32, 64, 128]
    return config


@pytest.mark.parametrize('teacher', [
    faster_rcnn, cascade_rcnn, mask_rcnn, c4_faster_rcnn, four_convs])
def test_the_roi_extractor_reads_contiguous_float32(teacher, tmp_path):
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


@pytest.mark.parametrize('teacher, amp', [
    (lambda: one_level(dict(type='ScaleNeck', channels=8)), None),
    (lambda: one_level(dict(type='ScaleNeck', channels=8)), 'bf16'),
    (lambda: one_level(kind='BesideNeck'), None),
], ids=['no convolution', 'no convolution, bf16', 'beside the neck'])
def test_maps_that_no_convolution_follows_are_contiguous(
        teacher, amp, registered, tmp_path):
    fast, plain = pair(tmp_path, teacher(), amp=amp)
    for seed in range(2):
        found, expected = (losses_of(d, seed) for d in (fast, plain))
        for name, value in expected.items():
            assert found[name] == pytest.approx(
                float(value), rel=0.05 if amp else 1e-4)


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


def test_an_operator_that_knows_one_format_is_found(tmp_path):
    fast, _ = pair(tmp_path, deformable())
    with pytest.raises(RuntimeError, match=(
            r'changes what the backbone of the teacher gives by .* in '
            r'teacher_speedup set channels_last=False, and if that is not '
            r'enough fold_bn=False\.')):
        losses_of(fast)

    fast, plain = pair(tmp_path, deformable(), channels_last=False)
    found, expected = (losses_of(d) for d in (fast, plain))
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4)
