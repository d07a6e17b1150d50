import re

import pytest
import torch

from mmdeepkd.engine import DistillRunner
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    make_distiller,
    write_teacher,
)
from tests.helpers.training import run_training


def part(model, name):
    return {k: v for k, v in model.state_dict().items()
            if k.startswith(f'{name}.')}


def same(distiller, name):
    own, taught = part(distiller, name), part(distiller.teacher, name)
    assert own
    return [torch.equal(v, taught[k]) for k, v in own.items()]


def test_named_parts_are_copied_and_others_not(tmp_path):
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(),
        student_init=dict(inherit=['neck', 'roi_head.bbox_head']))

    assert all(same(distiller, 'neck'))
    assert all(same(distiller, 'roi_head.bbox_head'))
    assert not all(same(distiller, 'rpn_head'))
    own = distiller.neck.fpn_convs[0].conv.weight
    assert own.data_ptr() != (
        distiller.teacher.neck.fpn_convs[0].conv.weight.data_ptr())
    assert own.requires_grad


def test_buffers_are_copied_too(tmp_path):
    model = faster_rcnn()
    checkpoint = write_teacher(model, tmp_path / 'teacher.pth')
    saved = torch.load(checkpoint)
    saved['state_dict']['backbone.bn1.running_mean'] += 3
    torch.save(saved, checkpoint)
    distiller = build_detector(
        distiller_config(model, model, checkpoint,
                         student_init=dict(inherit='backbone')))
    distiller.init_weights()

    assert all(same(distiller, 'backbone'))
    assert float(distiller.backbone.bn1.running_mean.min()) == 3


def test_without_it_the_student_inherits_nothing(tmp_path):
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn())

    assert not all(same(distiller, 'neck'))


def test_another_shape_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=re.escape(
            "student_init cannot inherit 'neck': 4 of 16 tensors differ from "
            "the teacher's in shape (first: neck.lateral_convs.0.conv.weight)"
            '; choose parts of equal shape, or set strict=False')):
        make_distiller(
            tmp_path, faster_rcnn(), faster_rcnn(width=6),
            student_init=dict(inherit=['neck']))


def test_not_strict_skips_another_shape(tmp_path):
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(width=6),
        student_init=dict(inherit=['neck'], strict=False))

    assert all(same(distiller, 'neck.fpn_convs'))


@pytest.mark.parametrize('value', [
    dict(inherit=[]), dict(strict=True), dict(inherit=['neck'], freeze=True)
])
def test_any_other_form_is_an_error(value, tmp_path):
    with pytest.raises(ValueError, match=(
            r'student_init must be dict\(inherit=\[...\]\), a list of parts '
            'of the student, with an optional strict=False, got')):
        make_distiller(tmp_path, faster_rcnn(), faster_rcnn(),
                       student_init=value)


def test_a_part_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=(
            "student_init inherits 'mask_head', which the student does not "
            'have: name parts of both; the student has backbone, neck, '
            'rpn_head, roi_head')):
        make_distiller(tmp_path, faster_rcnn(), faster_rcnn(),
                       student_init=dict(inherit=['mask_head']))


def test_a_resumed_run_does_not_inherit_again(tmp_path):
    model = faster_rcnn()
    config = distiller_config(
        model, model, write_teacher(model, tmp_path / 'teacher.pth'),
        student_init=dict(inherit=['neck']))
    wrapper = dict(
        type='mmdeepkd.DeepKDOptimWrapper', delta=0.,
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
    kwargs = dict(runner_class=DistillRunner, scenes=dict(images=4))
    epochs = dict(by_epoch=True, max_epochs=1)
    first, _ = run_training(config, wrapper, tmp_path, train_cfg=epochs,
                            **kwargs)
    # Nothing is left to train, so the weights are those of the checkpoint.
    resumed, losses = run_training(
        config, wrapper, tmp_path, train_cfg=epochs, resume=True, **kwargs)

    assert losses == []
    assert not all(same(first.model, 'neck'))
    for name, value in first.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value)
