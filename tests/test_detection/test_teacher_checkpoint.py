"""Teacher checkpoints that are not those of the teacher."""
import pytest
import torch

from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    write_teacher,
)


@pytest.fixture
def checkpoint(tmp_path):
    return write_teacher(faster_rcnn(), tmp_path / 'teacher.pth')


def build(checkpoint, teacher=None):
    return build_detector(
        distiller_config(faster_rcnn(), teacher or faster_rcnn(), checkpoint))


@pytest.mark.parametrize('missing', [None, ''])
def test_no_teacher_checkpoint(missing):
    with pytest.raises(ValueError, match=(
            r'teacher_checkpoint is not set.*set model\.teacher_checkpoint '
            'to a path or URL')):
        build(missing)


def test_teacher_checkpoint_that_is_not_there(tmp_path):
    path = tmp_path / 'nowhere.pth'
    with pytest.raises(FileNotFoundError, match=(
            f'the teacher checkpoint {path} is not there: train the teacher '
            r'first, or set model\.teacher_checkpoint')):
        build(str(path))


def rewrite(checkpoint, change):
    state = torch.load(checkpoint)['state_dict']
    change(state)
    torch.save(dict(state_dict=state), checkpoint)


def test_teacher_weights_that_are_missing(checkpoint):
    rewrite(checkpoint, lambda s: s.pop('rpn_head.rpn_cls.bias'))
    with pytest.raises(RuntimeError, match=(
            r'does not match the teacher \(\d+ tensors\): 1 missing '
            r'\(rpn_head\.rpn_cls\.bias\); 0 unexpected; 0 of another shape\.'
            ' Give the checkpoint that was trained with the teacher config')):
        build(checkpoint)


def test_teacher_weights_that_are_too_many(checkpoint):
    rewrite(checkpoint, lambda s: s.update(
        {f'neck.extra{i}': torch.zeros(1) for i in range(5)}))
    with pytest.raises(RuntimeError, match=(
            r'0 missing; 5 unexpected \(neck\.extra0, neck\.extra1, '
            r'neck\.extra2, \.\.\.\)')):
        build(checkpoint)


def test_teacher_weights_of_another_shape(checkpoint):
    with pytest.raises(RuntimeError, match=(
            r'0 missing; 0 unexpected; \d+ of another shape '
            r'\(backbone\.conv1\.weight is \(4, 3, 7, 7\) in the file and '
            r'\(6, 3, 7, 7\) in the teacher')):
        build(checkpoint, teacher=faster_rcnn(width=6))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_teacher_weights_that_are_not_finite(checkpoint, value):
    rewrite(checkpoint,
            lambda s: s['backbone.bn1.running_var'].fill_(value))
    with pytest.raises(RuntimeError, match=(
            r'holds inf or NaN in 1 tensors \(backbone\.bn1\.running_var\): '
            'its training diverged; give an earlier checkpoint')):
        build(checkpoint)


def test_a_teacher_file_without_tensors(tmp_path):
    path = tmp_path / 'list.pth'
    torch.save([1, 2], path)
    with pytest.raises(RuntimeError, match=(
            f'the teacher checkpoint {path} is a list, not a dict of')):
        build(str(path))


def test_teacher_weights_saved_by_a_wrapped_model(checkpoint):
    state = torch.load(checkpoint)['state_dict']
    torch.save({f'module.{k}': v for k, v in state.items()}, checkpoint)
    teacher = build(checkpoint).teacher.state_dict()

    assert all(torch.equal(teacher[k], v) for k, v in state.items())
