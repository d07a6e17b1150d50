"""Files of a timm teacher, and what to do about those that do not fit."""
import pytest
import torch

from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    resnet,
    timm_net,
)
from tests.helpers.training import equal_tensors


@pytest.fixture
def network():
    """The network that timm builds, with weights of its own."""
    torch.manual_seed(1)
    return build_classifier(timm_net()).model


def teach(path, content, teacher=None):
    torch.save(content, path)
    return build_classifier(distiller_config(
        resnet(), teacher or timm_net(), str(path))).teacher


@pytest.mark.parametrize('content', [
    lambda state: state,
    lambda state: dict(state_dict=state, meta=dict(epoch=3)),
    lambda state: dict(model=state),
    lambda state: {f'module.{key}': value for key, value in state.items()},
], ids=['bare', 'state_dict', 'model', 'wrapped'])
def test_files_of_timm_itself(content, network, tmp_path):
    teacher = teach(tmp_path / 'net.pth', content(network.state_dict()))

    assert equal_tensors(teacher.model.state_dict(), network.state_dict())


def test_files_of_timm_classifier(tmp_path):
    torch.manual_seed(1)
    classifier = build_classifier(timm_net())
    teacher = teach(tmp_path / 'net.pth',
                    dict(state_dict=classifier.state_dict(), meta={}))

    assert equal_tensors(teacher.state_dict(), classifier.state_dict())


def test_a_tensor_of_another_shape_is_named_as_in_the_file(network, tmp_path):
    with pytest.raises(RuntimeError, match=(
            r'0 missing; 0 unexpected; 2 of another shape '
            r'\(classifier\.weight is \(5, 1024\) in the file and \(7, 1024\)'
            ' in the teacher')):
        teach(tmp_path / 'net.pth', network.state_dict(), timm_net(7))


def test_missing_and_unexpected_tensors_are_named(network, tmp_path):
    state = network.state_dict()
    state['head.bias'] = state.pop('classifier.bias')
    with pytest.raises(RuntimeError, match=(
            r'1 missing \(classifier\.bias\); 1 unexpected \(head\.bias\)')):
        teach(tmp_path / 'net.pth', state)


def test_a_file_of_another_code_base(tmp_path):
    published = {'conv1.weight': torch.zeros(1), 'fc.bias': torch.zeros(1)}
    with pytest.raises(RuntimeError, match=(
            "none of its 2 names is one of the teacher's 122; a file of "
            r'another code base must be converted first \(CIFAR-100: '
            r'tools/convert_teacher\.py\)')):
        teach(tmp_path / 'ckpt_epoch_240.pth', dict(model=published), resnet())
