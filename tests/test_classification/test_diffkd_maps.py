"""Which maps of two classifiers are compared, and how they are got."""
import re

import pytest
import torch
from mmpretrain.models import VisionTransformer

from mmdeepkd.distillers.speedup import is_accelerated
from tests.helpers.classifier_runs import classifier_losses
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    image_batch,
    make_distiller,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.distilled_classifiers import DIFFKD, LOGITS, staged
from tests.helpers.lively import liven

KD = dict(type='mmdeepkd.KDLoss')


def vit(out_type):
    """A small vision transformer."""
    head = dict(
        type='mmpretrain.LinearClsHead', num_classes=5, in_channels=8,
        loss=dict(type='mmpretrain.CrossEntropyLoss'))
    return dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=resnet()['data_preprocessor'],
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=8, num_layers=1, num_heads=2,
                      feedforward_channels=8),
            img_size=32, patch_size=8, out_type=out_type),
        neck=None if out_type == 'cls_token' else dict(
            type='mmpretrain.GlobalAveragePooling'),
        head=head)


def seen_maps(distiller, batch=None):
    """Return the adapter, both maps and the place that the loss gets."""
    seen = []
    (_, loss), = distiller.feature_losses
    loss.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((*args, kwargs['place'])),
        with_kwargs=True)
    classifier_losses(distiller, batch)
    return seen


def maps_of_both(distiller, batch):
    images = distiller.data_preprocessor(batch)['inputs']
    return distiller.backbone(images), distiller.teacher.backbone(images)


def test_the_last_maps_of_the_backbones(tmp_path):
    distiller = make_distiller(
        tmp_path, staged(), staged(width=6, stages=(1, 2)), losses=DIFFKD)
    distiller.eval()
    batch = image_batch(size=64)
    expected = maps_of_both(distiller, batch)
    (adapter, student, teacher, place), = seen_maps(distiller, batch)

    assert place == 'map' and adapter is distiller.distill.diffkd.map
    assert torch.equal(student, expected[0][3]) and student.requires_grad
    assert torch.equal(teacher, expected[1][1]) and not teacher.requires_grad


def test_the_levels_that_a_loss_names(tmp_path):
    loss = dict(DIFFKD, levels=[0, (-1, 1)])
    distiller = make_distiller(
        tmp_path, staged(), staged(width=6, stages=(1, 2)), losses=loss)
    distiller.eval()
    batch = image_batch(size=64)
    expected = maps_of_both(distiller, batch)
    seen, names = seen_maps(distiller, batch), set(classifier_losses(
        distiller, batch))

    assert [place for *_, place in seen[:2]] == ['level0', 'level3']
    for (adapter, student, teacher, place), (own, other) in zip(
            seen, [(0, 0), (3, 1)]):
        assert adapter is distiller.distill.diffkd[place]
        assert torch.equal(student, expected[0][own])
        assert torch.equal(teacher, expected[1][other])
    assert names == {
        'loss_cls', 'feature.loss_diffkd_level0', 'feature.loss_diffkd_level3',
        'feature.loss_diffkd_diffusion', 'feature.loss_diffkd_autoencoder',
        'diffkd_gamma_level0', 'diffkd_gamma_level3'}


def test_with_maps_alone_the_teachers_classes_are_of_no_interest(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(7), losses=DIFFKD)
    ran = []
    distiller.teacher.head.register_forward_hook(lambda *_: ran.append(1))
    classifier_losses(distiller)

    assert ran == []
    for losses in (LOGITS, [DIFFKD, KD]):
        with pytest.raises(ValueError, match=(
                'the student has 5 classes, the teacher 7')):
            make_distiller(tmp_path, resnet(), resnet(7), losses=losses)


def test_with_logits_too_the_teacher_runs_once(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(),
                               losses=[KD, DIFFKD, LOGITS])
    ran = []
    for module in (distiller.teacher.backbone, distiller.backbone):
        module.register_forward_hook(lambda *_: ran.append(1))
    classifier_losses(distiller)

    assert len(ran) == 2


def test_a_vision_transformer_that_gives_maps(tmp_path):
    distiller = make_distiller(tmp_path, vit('featmap'), resnet(),
                               losses=DIFFKD)
    (_, student, teacher, _), = seen_maps(distiller)

    assert student.shape == (4, 8, 4, 4) and teacher.shape == (4, 32, 1, 1)


@pytest.mark.parametrize('role, model, message', [
    ('student', vit('cls_token'), 'DiffKDLoss compares maps (N, C, H, W), and '
     'output 0 of the VisionTransformer of the student is none: set '
     "backbone.out_type='featmap' and neck=dict(type='GlobalAveragePooling')"),
    ('teacher', vit('cls_token'), 'the VisionTransformer of the teacher is '
     'none'),
    ('student', timm_net(), 'the TimmClassifier of the student has no backbone'
     " of mmpretrain's: use an ImageClassifier"),
    ('teacher', timm_net(), 'the TimmClassifier of the teacher has no '
     'backbone'),
], ids=['student vit', 'teacher vit', 'student timm', 'teacher timm'])
def test_models_without_maps(role, model, message, tmp_path):
    models = dict(student=resnet(), teacher=resnet())
    models[role] = model
    for losses in (LOGITS, [KD, LOGITS]):
        classifier_losses(make_distiller(tmp_path, **models, losses=losses))
    with pytest.raises(TypeError, match=(
            re.escape(message) + '.*DiffKDLogitsLoss')):
        make_distiller(tmp_path, **models, losses=[KD, DIFFKD])


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_backbone_that_cannot_be_measured(role, tmp_path, monkeypatch):
    def fail(self, inputs):
        raise RuntimeError('no kernel for this device')

    models = dict(student=resnet(), teacher=resnet())
    models[role] = vit('featmap')
    monkeypatch.setattr(VisionTransformer, 'forward', fail)
    with pytest.raises(RuntimeError, match=(
            f'^the backbone of the {role} failed on a black image '
            r"\(1, 3, 32, 32\) on the device 'cpu', .*\(no kernel for this "
            r'device\): replace the layers')):
        make_distiller(tmp_path, **models, losses=DIFFKD)


def test_a_student_that_runs_twice(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(), losses=DIFFKD)
    extract = distiller.student.extract_feat
    distiller.student.extract_feat = lambda inputs: (
        distiller.backbone(inputs), extract(inputs))[1]
    with pytest.raises(TypeError, match=(
            'the backbone of the student ran 2 times in its loss')):
        classifier_losses(distiller)


def test_a_level_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=(
            'levels names the map 1 of the student, which has 1')):
        make_distiller(tmp_path, resnet(), resnet(),
                       losses=dict(DIFFKD, levels=[1]))


def test_a_class_map_without_logits(tmp_path):
    with pytest.raises(ValueError, match=(
            'teacher_class_map is set, but the losses compare feature maps, '
            'which have no classes: leave it out')):
        make_distiller(tmp_path, resnet(), resnet(7), losses=DIFFKD,
                       teacher_class_map=[0, 1, 2, 3, 4])


@pytest.mark.parametrize('feature', [DIFFKD, LOGITS], ids=['maps', 'logits'])
def test_two_views(feature, tmp_path):
    student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
    name = feature['type'].split('.')[1]
    with pytest.raises(ValueError, match=(
            'MLKDLoss needs two views of each image, and '
            f'{name} compares features of one: use them in separate runs')):
        make_distiller(tmp_path, student, resnet(),
                       losses=[feature, dict(type='mmdeepkd.MLKDLoss')])


def pair(folder, **speedup):
    """Build a distiller with a faster teacher, or student, and one without."""
    checkpoint = liven(write_teacher(resnet(width=6), folder / 'teacher.pth'))
    built = []
    for kwargs in (speedup, {}):
        torch.manual_seed(0)
        distiller = build_classifier(distiller_config(
            resnet(), resnet(width=6), checkpoint, losses=[KD, DIFFKD],
            **kwargs))
        distiller.init_weights()
        built.append(distiller.train())
    return built


@pytest.mark.parametrize('faster', [
    dict(teacher_speedup=dict()), dict(channels_last=True),
    dict(teacher_speedup=dict(fold_bn=False), channels_last=True),
], ids=['teacher', 'student', 'both'])
def test_other_formats_change_nothing_but_rounding(faster, tmp_path):
    fast, plain = (d.double() for d in pair(tmp_path, **faster))
    for seed in range(2):
        data = fast.data_preprocessor(image_batch(seed=seed, size=64))
        data['inputs'] = data['inputs'].double()
        found, expected = (d(**data, mode='loss') for d in (fast, plain))
        assert 'feature.loss_diffkd' in expected
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-8,
                                       atol=1e-12)
    assert is_accelerated(fast.teacher) == ('teacher_speedup' in faster)
    assert not fast.backbone._forward_hooks
    assert not fast.teacher.backbone._forward_hooks


def test_a_teacher_in_bfloat16(tmp_path):
    fast, plain = pair(tmp_path, teacher_speedup=dict(amp='bf16'))
    (_, _, found, _), = seen_maps(fast.eval(), image_batch(size=64))
    (_, _, expected, _), = seen_maps(plain.eval(), image_batch(size=64))

    assert found.dtype == torch.float32
    difference = float((found - expected).abs().max() / expected.abs().max())
    assert 1e-5 < difference < 0.05


def test_inside_of_autocast(tmp_path):
    fast, plain = pair(tmp_path)
    with torch.autocast('cpu', torch.bfloat16):
        found = classifier_losses(fast)
    expected = classifier_losses(plain)

    for name in ('feature.loss_diffkd', 'feature.loss_diffkd_diffusion'):
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], expected[name], rtol=0.1,
                                   atol=0)
