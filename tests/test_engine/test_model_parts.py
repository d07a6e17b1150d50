"""Which parameters are in which part of a model."""
from types import SimpleNamespace

import pytest
import torch

from mmdeepkd.engine.model_parts import split_by_part
from tests.helpers.classifiers import build_classifier, resnet, timm_net
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import build_detector


def fake(*names):
    """A model whose parameters have these names."""
    named = [(name, torch.zeros(1)) for name in names]
    return (SimpleNamespace(named_parameters=lambda: iter(named)),
            [param for _, param in named])


def found(*names, parts=None):
    return split_by_part(*fake(*names), parts)


def stages(*names):
    return list(found(*(f'backbone.{name}.w' for name in names)))


RESNET = ['backbone.conv1', 'backbone.bn1', 'backbone.layer1',
          'backbone.layer2', 'backbone.layer3', 'backbone.layer4']


@pytest.mark.parametrize('build, config, parts', [
    (build_classifier, resnet(), [*RESNET, 'head']),
    (build_detector, faster_rcnn(),
     [*RESNET, 'neck', 'rpn_head', 'roi_head']),
], ids=['classifier', 'detector'])
def test_the_parts_of_real_models(build, config, parts):
    model = build(config)
    params = list(model.parameters())
    split = split_by_part(model, params)

    assert list(split) == parts
    # Each is in one of them.
    assert sorted(sum(split.values(), [])) == list(range(len(params)))


def test_a_network_without_a_backbone_is_split_itself():
    model = build_classifier(timm_net())
    split = split_by_part(model, list(model.parameters()))

    assert 1 < len(split) <= 12
    assert all(part.startswith('model.') for part in split)


def test_numbered_containers_are_opened():
    assert stages('patch_embed', 'stages.0.blocks.0', 'stages.0.blocks.1',
                  'stages.1.blocks.0', 'norm') == [
        'backbone.patch_embed', 'backbone.stages.0', 'backbone.stages.1',
        'backbone.norm']


def test_the_only_child_is_descended_into():
    assert stages('body.a.x', 'body.a.y', 'body.b') == [
        'backbone.body.a', 'backbone.body.b']


def test_a_deep_container_stays_whole():
    assert stages('embed', *(f'layers.{i}' for i in range(24))) == [
        'backbone.embed', 'backbone.layers']


def test_a_backbone_of_many_children_stays_whole():
    assert stages(*(f'conv{i}' for i in range(13))) == ['backbone']
    assert len(stages(*(f'conv{i}' for i in range(12)))) == 12


def test_parameters_of_the_model_itself_are_parts():
    assert found('backbone.cls_token', 'backbone.norm.w', 'scale') == {
        'backbone.cls_token': [0], 'backbone.norm': [1], 'scale': [2]}


def test_a_backbone_that_is_one_parameter():
    assert found('backbone.weight', 'head.weight') == {
        'backbone.weight': [0], 'head': [1]}


def test_adapters_are_a_part():
    assert found('head.w', 'neck.w', 'distill.a.w', 'distill.b.w') == {
        'head': [0], 'neck': [1], 'distill': [2, 3]}


def test_adapters_leave_the_other_parts_as_they_are():
    names = ['model.stem.w', 'model.stages.0.w', 'model.stages.1.w']

    assert list(found(*names, 'distill.a.w')) == [*found(*names), 'distill']
    assert len(found(*names)) > 1


def test_the_order_and_choice_are_the_optimizers():
    model, params = fake('neck.w', 'head.a', 'head.b')
    stranger = torch.zeros(1)
    chosen = [params[2], stranger, params[0]]

    assert split_by_part(model, chosen) == {'head': [0], 'neck': [2]}


def test_parts_of_ones_own():
    names = ['backbone.layer1.w', 'backbone.layer10.w', 'neck.w', 'head.w']
    parts = {'stem': 'backbone.layer1', 'rest': ['neck', 'head.w']}

    assert found(*names, parts=parts) == {'stem': [0], 'rest': [2, 3]}


@pytest.mark.parametrize('parts', [
    {'stem': 'backbone.layer'}, {'stem': ['neck', 'backbone.layer']}],
    ids=['one', 'list'])
def test_a_prefix_of_no_parameter_is_named(parts):
    with pytest.raises(ValueError, match=(
            r"^parts\['stem'\] has the prefix 'backbone.layer', with which "
            'no name of a parameter in the optimizer begins: choose from '
            'backbone.layer1, backbone.bn, neck, or')):
        found('backbone.layer1.w', 'backbone.bn.w', 'neck.w', parts=parts)
