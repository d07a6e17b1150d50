"""Every mistake gets one message that names the fix."""
import copy
import re

import pytest
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS

from tests.helpers.detectors import cascade_rcnn, faster_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    make_distiller,
    write_teacher,
)
from tests.helpers.training import run_training, train_steps

SIGMOID = dict(
    type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)


@pytest.fixture
def checkpoint(tmp_path):
    return write_teacher(faster_rcnn(), tmp_path / 'teacher.pth')


def build(checkpoint, student=None, teacher=None, **kwargs):
    return build_detector(
        distiller_config(student or faster_rcnn(), teacher or faster_rcnn(),
                         checkpoint, **kwargs))


def test_other_classes(tmp_path):
    with pytest.raises(ValueError, match=(
            'the student has 3 classes, the teacher 5: set roi_head.bbox_head'
            '.num_classes of both configs')):
        make_distiller(tmp_path, faster_rcnn(), faster_rcnn(5))


@pytest.mark.parametrize('topk', [0, -1])
def test_topk_below_one(topk, checkpoint):
    with pytest.raises(ValueError, match=f'topk is {topk}'):
        build(checkpoint, losses=dict(type='mmdeepkd.DeepKDLoss', topk=topk))


@pytest.mark.parametrize('topk', [4, 100])
def test_topk_above_the_classes(topk, checkpoint):
    with pytest.raises(ValueError, match=(
            f'DeepKDLoss has topk={topk}, the detectors 3 non-target classes '
            r'\(background counts\): choose topk from 1 to 3')):
        build(checkpoint, losses=dict(type='mmdeepkd.DeepKDLoss', topk=topk))
    build(checkpoint, losses=dict(type='mmdeepkd.DeepKDLoss', topk=3))


@pytest.mark.parametrize('static_k, message', [
    (0, 'static_k is 0 but must be at least 1'),
    (4, 'static_k=4, the model 3 non-target classes: choose static_k from 1 '
        'to 3')
])
def test_static_k_out_of_range(static_k, message, checkpoint, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_training(
            distiller_config(faster_rcnn(), faster_rcnn(), checkpoint),
            dict(
                type='mmdeepkd.DeepKDOptimWrapper',
                optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
                delta=0.05),
            tmp_path,
            custom_hooks=[
                dict(type='mmdeepkd.DynamicTopKHook', static_k=static_k)])


@pytest.mark.parametrize('optimizer', ['Adam', 'RMSprop'])
def test_an_optimizer_that_cannot_be_decoupled(optimizer, checkpoint):
    wrapper = dict(
        type='mmdeepkd.DeepKDOptimWrapper',
        optimizer=dict(type=optimizer, lr=0.1),
        delta=0.05)
    with pytest.raises(TypeError, match=(
            f"cannot decouple {optimizer}: use optimizer=dict\\(type='SGD'")):
        build_optim_wrapper(build(checkpoint), ConfigDict(wrapper))


@pytest.mark.parametrize('kind, argument', [
    ('distiller', 'teacher_stages'), ('loss', 'temprature'),
    ('hook', 'static_topk'), ('wrapper', 'detla')])
def test_an_unknown_argument(kind, argument, checkpoint):
    unknown = {argument: 1}

    def construct():
        if kind == 'hook':
            HOOKS.build(dict(type='mmdeepkd.DynamicTopKHook', **unknown))
        elif kind == 'wrapper':
            optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
            build_optim_wrapper(
                build_detector(faster_rcnn()),
                ConfigDict(
                    type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
                    optimizer=optimizer, **unknown))
        elif kind == 'loss':
            build(checkpoint, losses=dict(type='mmdeepkd.KDLoss', **unknown))
        else:
            build(checkpoint, **unknown)

    with pytest.raises(TypeError, match=f"argument '{argument}'"):
        construct()


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_one_stage_detector(role, tmp_path):
    retina = get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py').model
    retina.backbone.init_cfg = None
    models = dict(student=faster_rcnn(80), teacher=faster_rcnn(80))
    models[role] = retina
    checkpoint = write_teacher(models['teacher'], tmp_path / 'teacher.pth')
    with pytest.raises(TypeError, match=(
            r'two-stage detectors \(Faster, Mask and Cascade R-CNN\); the '
            f'{role} RetinaNet has none')):
        build(checkpoint, **models)


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_model_without_a_pixel_format(role, checkpoint):
    models = dict(student=faster_rcnn(), teacher=faster_rcnn())
    models[role].pop('data_preprocessor')
    with pytest.raises(TypeError, match=(
            f'the {role} has a BaseDataPreprocessor, which says nothing of '
            'mean, std and channel order: give its config data_preprocessor')):
        build(checkpoint, **models)


@pytest.mark.parametrize('role', ['student', 'teacher'])
@pytest.mark.parametrize('detector', [faster_rcnn, cascade_rcnn])
def test_a_sigmoid_box_head(role, detector, tmp_path):
    models = dict(student=faster_rcnn(), teacher=faster_rcnn())
    models[role] = detector()
    head = models[role]['roi_head']['bbox_head']
    for each in (head if isinstance(head, list) else [head]):
        each['loss_cls'] = SIGMOID
    checkpoint = write_teacher(models['teacher'], tmp_path / 'teacher.pth')
    with pytest.raises(ValueError, match=(
            f'the box head of the {role} trains sigmoid or custom logits '
            r'\(CrossEntropyLoss\).*use a softmax cross entropy')):
        build(checkpoint, **models)


@pytest.mark.parametrize('stage', [-1, 1, 3])
def test_a_teacher_stage_that_does_not_exist(stage, checkpoint):
    with pytest.raises(ValueError, match=(
            f'teacher_stage={stage} does not exist: the teacher has 1 '
            r'stage\(s\), counted from 0')):
        build(checkpoint, teacher_stage=stage)


def test_more_stages_than_the_teacher(tmp_path):
    with pytest.raises(ValueError, match=(
            'the student has 3 stages, the teacher 2: set teacher_stage')):
        make_distiller(tmp_path, cascade_rcnn(), cascade_rcnn(stages=2))


def test_no_loss(checkpoint):
    with pytest.raises(ValueError, match='losses is empty: name at least'):
        build(checkpoint, losses=[])


def test_a_loss_that_distils_nothing(checkpoint):
    with pytest.raises(TypeError, match=(
            'CrossEntropyLoss is no distillation loss: it must name its '
            'gradient streams')):
        build(checkpoint, losses=dict(type='mmdet.CrossEntropyLoss'))


@pytest.mark.parametrize('weight', [-1., float('nan')])
def test_a_task_weight_that_is_none(weight, checkpoint):
    with pytest.raises(ValueError, match='task_weight must be >= 0, got'):
        build(checkpoint, task_weight=weight)


def test_a_stream_without_momentum(checkpoint):
    distiller = build(checkpoint, losses=dict(type='mmdeepkd.KDLoss'))
    with pytest.raises(KeyError, match=re.escape(
            "the losses hold the stream 'distill', the optimizer wrapper "
            'knows task, plain: give it a momentum with offsets=dict(...)')):
        train_steps(distiller, delta=None, offsets=dict(task=0.))


def test_the_callers_config_is_not_changed(checkpoint):
    config = distiller_config(faster_rcnn(), faster_rcnn(), checkpoint)
    before = copy.deepcopy(config)
    build_detector(config)

    assert config == before


def test_a_head_that_classifies_otherwise_is_refused(tmp_path):
    htc = cascade_rcnn()
    htc['type'] = 'mmdet.HybridTaskCascade'
    htc['roi_head'].update(
        type='mmdet.HybridTaskCascadeRoIHead',
        interleaved=False,
        mask_info_flow=False)
    checkpoint = write_teacher(htc, tmp_path / 'teacher.pth')

    with pytest.raises(TypeError, match='the teacher has a HybridTaskCasc'):
        build_detector(distiller_config(faster_rcnn(), htc, checkpoint))
