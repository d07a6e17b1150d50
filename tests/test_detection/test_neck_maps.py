"""Which maps of the two necks meet."""
import pytest
import torch
from mmdet.models.detectors import FasterRCNN
from mmengine.hub import get_config
from mmengine.registry import MODELS
from torch import nn

from mmdeepkd.detection.neck_maps import probe_neck
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import c4_faster_rcnn, cascade_rcnn, faster_rcnn
from tests.helpers.distillers import build_detector, make_distiller
from tests.helpers.one_stage import detr, retinanet
from tests.helpers.training import distilled, loss_dict

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
LEVELS = {
    'all': (faster_rcnn, faster_rcnn, None,
            {'level0': (4, 4), 'level1': (8, 8), 'level2': (16, 16),
             'level3': (32, 32), 'level4': (64, 64)}),
    'teacher from 4': (retinanet, faster_rcnn, None,
                       {'level0': (8, 8), 'level1': (16, 16),
                        'level2': (32, 32), 'level3': (64, 64)}),
    'student from 4': (faster_rcnn, retinanet, None,
                       {'level1': (8, 8), 'level2': (16, 16),
                        'level3': (32, 32), 'level4': (64, 64)}),
    'one level': (detr, faster_rcnn, None, {'level0': (32, 32)}),
    'the student of several': (cascade_rcnn, detr, None,
                               {'level3': (32, 32)}),
    'by index': (retinanet, faster_rcnn, [-2, 0],
                 {'level3': (64, 64), 'level0': (8, 8)}),
    'pairs': (retinanet, faster_rcnn, [(0, 0), (1, -1)],
              {'level0': (8, 4), 'level1': (16, 64)}),
}


class FlatNeck(nn.Module):
    """Gives no maps."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, maps):
        return tuple(m.flatten(2) * self.scale for m in maps)


class GpuNeck(FlatNeck):
    """Fails on CPUs, as mmdet.FPN_CARAFE does."""

    def forward(self, maps):
        raise RuntimeError('implementation for device cpu not found.')


class TwoNecks(FasterRCNN):
    """Runs its neck twice."""

    def extract_feat(self, batch_inputs):
        maps = self.backbone(batch_inputs)
        self.neck(maps)
        return self.neck(maps)


@pytest.fixture
def registered():
    for kind in (FlatNeck, GpuNeck, TwoNecks):
        MODELS.register_module(module=kind)
    yield
    for kind in (FlatNeck, GpuNeck, TwoNecks):
        MODELS._module_dict.pop(kind.__name__)


def recorded(distiller):
    """Return a dict that will have the maps that meet, by place."""
    seen = {}
    distiller.losses[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.update({
            kwargs['place']: args[1:3]}), with_kwargs=True)
    return seen


@pytest.mark.parametrize('case', LEVELS)
def test_levels_that_meet(case, tmp_path):
    student, teacher, levels, strides = LEVELS[case]
    distiller = make_distiller(
        tmp_path, student(), teacher(channels=12),
        losses=dict(DIFFKD, levels=levels))
    seen = recorded(distiller)
    names = set(distilled(loss_dict(distiller)))

    assert list(seen) == list(strides)
    for place, (own, taught) in strides.items():
        shapes = [tuple(m.shape) for m in seen[place]]
        # An image of 64 pixels has at least one element.
        assert shapes == [(2, 8, *[max(1, 64 // own)] * 2),
                          (2, 12, *[max(1, 64 // taught)] * 2)]
    assert list(distiller.distill['diffkd']) == list(strides)
    assert names == {
        'feature.loss_diffkd_diffusion', 'feature.loss_diffkd_autoencoder',
        *([f'feature.loss_diffkd_{place}' for place in strides]
          if len(strides) > 1 else ['feature.loss_diffkd'])
    }


def test_the_maps_are_those_that_the_heads_read(tmp_path):
    distiller = make_distiller(
        tmp_path, retinanet(), retinanet(), losses=DIFFKD)
    own, taught, seen = [], [], recorded(distiller)
    distiller.bbox_head.register_forward_pre_hook(
        lambda module, args: own.extend(args[0]))
    distiller.teacher.neck.register_forward_hook(
        lambda module, args, output: taught.extend(output))
    loss_dict(distiller)

    assert len(own) == len(taught) == len(seen) == 5
    for pair, first, second in zip(seen.values(), own, taught):
        assert pair[0] is first and pair[0].requires_grad
        assert pair[1] is second and not pair[1].requires_grad


def test_the_teachers_maps_are_those_of_its_own_pixels(tmp_path):
    teacher = retinanet()
    teacher['data_preprocessor'].update(
        mean=[10., 20., 30.], std=[1., 2., 3.], bgr_to_rgb=False)
    distiller = make_distiller(
        tmp_path, retinanet(), teacher, losses=DIFFKD)
    seen, batch = recorded(distiller), detection_batch()
    loss_dict(distiller, batch)
    alone = distiller.teacher.data_preprocessor(batch, training=True)

    with torch.no_grad():
        expected = distiller.teacher.extract_feat(alone['inputs'])
    for (_, found), wanted in zip(seen.values(), expected):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('align', ['student', 'teacher'])
def test_maps_of_other_sizes(align, tmp_path):
    """Of a teacher that pads its images further."""
    teacher = faster_rcnn()
    teacher['data_preprocessor']['pad_size_divisor'] = 96
    distiller = make_distiller(
        tmp_path, retinanet(), teacher, losses=dict(DIFFKD, align=align))
    seen = recorded(distiller)
    losses = distilled(loss_dict(distiller))

    assert [m.shape[2:] for m in seen['level0']] == [(8, 8), (12, 12)]
    assert torch.stack(list(losses.values())).isfinite().all()


def test_maps_of_other_sizes_can_be_an_error(tmp_path):
    teacher = faster_rcnn()
    teacher['data_preprocessor']['pad_size_divisor'] = 96
    distiller = make_distiller(
        tmp_path, retinanet(), teacher, losses=dict(DIFFKD, align='error'))
    with pytest.raises(ValueError, match='level0'):
        loss_dict(distiller)


def test_no_common_stride(tmp_path):
    teacher = faster_rcnn()
    teacher['backbone'].update(
        num_stages=1, out_indices=(0, ), strides=(1, ), dilations=(1, ))
    teacher['neck'].update(in_channels=[4], num_outs=1)
    with pytest.raises(ValueError, match=(
            r'\(student 8, 16, 32, 64, 128, teacher 4\): pair them by index, '
            r'levels=\[\(0, 1\), ')):
        make_distiller(tmp_path, retinanet(), teacher, losses=DIFFKD)


def test_strides_of_a_detector_that_stacks_pixels():
    """YOLOX's first convolution reads 12 channels of a colour image."""
    model = get_config('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py').model
    detector = build_detector(model)

    assert [info.stride for info in probe_neck(detector, 'student')
            ] == [8, 16, 32]


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_detector_without_a_neck(role, tmp_path):
    models = dict(student=retinanet(), teacher=retinanet())
    models[role] = c4_faster_rcnn()
    with pytest.raises(TypeError, match=(
            'DiffKDLoss compares the feature maps of necks, and the '
            f'{role} FasterRCNN has none: give its config a neck')):
        make_distiller(tmp_path, losses=DIFFKD, **models)


@pytest.mark.parametrize('detector', [faster_rcnn, retinanet])
def test_a_loss_that_denoises_logits(detector, tmp_path):
    with pytest.raises(TypeError, match=(
            'DiffKDLogitsLoss compares the logits of images .* use '
            'mmdeepkd.DiffKDLoss, for the maps of the neck')):
        make_distiller(tmp_path, detector(), detector(),
                       losses=dict(type='mmdeepkd.DiffKDLogitsLoss'))


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_neck_without_maps(role, registered, tmp_path):
    models = dict(student=faster_rcnn(), teacher=faster_rcnn())
    models[role]['neck'] = dict(type='FlatNeck')
    with pytest.raises(TypeError, match=(
            f'the neck of the {role}, a FlatNeck, gives something else than '
            'feature maps')):
        make_distiller(tmp_path, losses=DIFFKD, **models)


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_neck_that_cannot_be_measured(role, registered, tmp_path):
    models = dict(student=faster_rcnn(), teacher=faster_rcnn())
    models[role]['neck'] = dict(type='GpuNeck')
    with pytest.raises(RuntimeError, match=(
            f'^the neck of the {role} failed on a black image '
            r"\(1, 3, 512, 512\) on the device 'cpu', .*\(implementation for "
            r'device cpu not found\.\): replace the layers')):
        make_distiller(tmp_path, losses=DIFFKD, **models)


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_neck_that_runs_twice(role, registered, tmp_path):
    models = dict(student=faster_rcnn(), teacher=faster_rcnn())
    models[role]['type'] = 'TwoNecks'
    with pytest.raises(TypeError, match=f'the neck of the {role} ran 2 times'):
        make_distiller(tmp_path, losses=DIFFKD, **models)
