"""Detectors of one stage, as students and teachers of feature maps."""
import copy

import pytest
import torch

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import (
    build_detector,
    make_distiller,
    write_teacher,
)
from tests.helpers.one_stage import atss, detr, fcos, retinanet
from tests.helpers.training import distilled, loss_dict, train_steps

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
PAIRS = {
    'retinanet from retinanet': (retinanet, retinanet),
    'retinanet from faster': (retinanet, faster_rcnn),
    'fcos from retinanet': (fcos, retinanet),
    'atss from cascade': (atss, cascade_rcnn),
    'detr from fcos': (detr, fcos),
    'mask from retinanet': (mask_rcnn, retinanet),
    'cascade from detr': (cascade_rcnn, detr),
}


def make(folder, student=retinanet, teacher=retinanet, classes=3, **kwargs):
    kwargs.setdefault('losses', DIFFKD)
    return make_distiller(folder, student(), teacher(classes, width=6),
                          **kwargs)


@pytest.mark.parametrize('pair', PAIRS)
def test_one_iteration_of_every_pair(pair, tmp_path):
    """Of other classes than the teacher's, too."""
    student, teacher = PAIRS[pair]
    distiller = make(tmp_path, student, teacher, classes=5)
    before = copy.deepcopy(distiller.state_dict())
    log, = train_steps(
        distiller, batch=detection_batch(masks=student is mask_rcnn))

    assert torch.stack(list(log.values())).isfinite().all()
    plain = set(build_detector(student()).state_dict())
    assert {name for name in before if not name.startswith('distill.')
            } == plain
    moved = {name.split('.')[0] for name, value in
             distiller.state_dict().items() if value.is_floating_point()
             and not torch.equal(value, before[name])}
    assert moved >= {'backbone', 'neck', 'distill'}
    assert moved & {'bbox_head', 'roi_head'}


def test_a_retinanet_learns(tmp_path):
    distiller = make(tmp_path, losses=dict(DIFFKD, levels=[0, 1]))
    logs = train_steps(distiller, 10, delta=0., lr=0.01)
    first, last = ({name: float(value.detach()) for name, value in
                    log.items()} for log in (logs[0], logs[-1]))

    for name in ('loss_cls', 'loss_bbox', 'feature.loss_diffkd_diffusion',
                 'feature.loss_diffkd_autoencoder'):
        assert last[name] < first[name], name


@pytest.mark.parametrize('student, teacher', [
    (retinanet, retinanet), (retinanet, faster_rcnn), (faster_rcnn, mask_rcnn),
    (cascade_rcnn, fcos)])
def test_no_head_of_the_teacher_runs(student, teacher, tmp_path):
    def refuse(module, args):
        raise AssertionError(f'{type(module).__name__} of the teacher ran')

    distiller = make(tmp_path, student, teacher)
    heads = [child for name, child in distiller.teacher.named_children()
             if name.endswith('head')]
    assert heads
    for head in heads:
        for module in head.modules():
            module.register_forward_pre_hook(refuse)
    log, = train_steps(distiller)

    assert torch.isfinite(log['loss'])


def test_there_are_no_logits(tmp_path):
    distiller = make(tmp_path)

    assert distiller.class_map is None
    assert not hasattr(distiller, 'num_logits')
    with pytest.raises(AttributeError, match=(
            'this DetectorDistiller has no num_logits, for none of its '
            'losses compares logits: add one')):
        distiller.num_logits  # noqa: B018


@pytest.mark.parametrize('detector', [faster_rcnn, retinanet])
@pytest.mark.parametrize('argument', [
    dict(teacher_stage=0), dict(teacher_class_map=[0, 1, 2])],
    ids=lambda argument: list(argument)[0])
def test_arguments_that_no_loss_reads(detector, argument, tmp_path):
    name, = argument
    with pytest.raises(ValueError, match=(
            f'{name} chooses .* and none of the losses compares logits: '
            f'leave {name} out, or add a loss on logits')):
        make(tmp_path, detector, detector, **argument)


@pytest.mark.parametrize('student, teacher, role', [
    (retinanet, faster_rcnn, 'student'), (faster_rcnn, retinanet, 'teacher')])
def test_logits_of_one_stage_are_refused(student, teacher, role, tmp_path):
    with pytest.raises(TypeError, match=(
            r'the RoI logits of two-stage detectors .*; the '
            f'{role} RetinaNet has none: distil the feature maps of its neck, '
            'with no other losses than on features, such as '
            'mmdeepkd.DiffKDLoss')):
        make(tmp_path, student, teacher,
             losses=[dict(type='mmdeepkd.KDLoss'), DIFFKD])


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_detector_without_a_pixel_format(role, tmp_path):
    models = dict(student=retinanet(), teacher=retinanet())
    models[role].pop('data_preprocessor')
    with pytest.raises(TypeError, match=(
            f'the {role} has a BaseDataPreprocessor, which says nothing')):
        make_distiller(tmp_path, losses=DIFFKD, **models)


@pytest.mark.parametrize('student', [retinanet, detr])
def test_a_label_that_is_no_class(student, tmp_path):
    distiller = make(tmp_path, student)
    batch = detection_batch()
    batch['data_samples'][1].gt_instances.labels[0] = 3
    with pytest.raises(ValueError, match=(
            '1.png has a box of class 3, the detector the classes 0 to 2')):
        loss_dict(distiller, batch)


def test_a_box_without_area(tmp_path):
    distiller = make(tmp_path)
    batch = detection_batch()
    batch['data_samples'][0].gt_instances.bboxes[1, 2:] = 0
    with pytest.raises(ValueError, match=r'0\.png has the box .* no finite'):
        loss_dict(distiller, batch)


def test_proposals_have_one_class_whatever_the_labels(tmp_path):
    rpn = faster_rcnn()
    rpn = dict(
        rpn, type='mmdet.RPN', train_cfg=dict(rpn=rpn['train_cfg']['rpn']),
        test_cfg=dict(rpn=rpn['test_cfg']['rpn']))
    rpn.pop('roi_head')
    distiller = make_distiller(tmp_path, rpn, retinanet(), losses=DIFFKD)
    batch = detection_batch(num_classes=3)
    assert batch['data_samples'][0].gt_instances.labels.max() > 0
    log, = train_steps(distiller, batch=batch)

    assert torch.isfinite(log['loss'])


@pytest.mark.parametrize('student', [retinanet, fcos, detr, faster_rcnn])
def test_images_without_boxes_train_on(student, tmp_path):
    distiller = make(tmp_path, student)
    batch = detection_batch()
    for sample in batch['data_samples']:
        sample.gt_instances = sample.gt_instances[:0]
    for log in train_steps(distiller, 2, batch=batch):
        assert torch.stack(list(log.values())).isfinite().all()


@pytest.mark.parametrize('student', [retinanet, faster_rcnn, detr])
def test_predictions_are_the_students(student, tmp_path):
    distiller = make(tmp_path, student)
    for module in distiller.distill.modules():
        module.register_forward_pre_hook(
            lambda module, args: pytest.fail('distill ran'))
    plain = build_detector(student())
    plain.load_state_dict({
        name: value for name, value in distiller.state_dict().items()
        if not name.startswith('distill.')}, strict=True)
    ours, theirs = (m.eval().test_step(detection_batch())
                    for m in (distiller, plain))

    for one, other in zip(ours, theirs):
        assert len(one.pred_instances) > 0
        assert torch.equal(one.pred_instances.bboxes,
                           other.pred_instances.bboxes)


def test_the_student_inherits_from_the_teacher(tmp_path):
    distiller = make_distiller(
        tmp_path, retinanet(), retinanet(), losses=DIFFKD,
        student_init=dict(inherit=['neck', 'bbox_head']))
    saved = torch.load(tmp_path / 'teacher.pth')['state_dict']

    assert all(torch.equal(distiller.state_dict()[name], value)
               for name, value in saved.items()
               if name.startswith(('neck', 'bbox_head')))


def test_the_feature_maps_of_the_teacher_teach(tmp_path):
    """Other weights of the teacher give another loss."""
    found = []
    for seed in (1, 2):
        write_teacher(retinanet(), tmp_path / 'teacher.pth', seed)
        torch.manual_seed(0)
        distiller = build_detector(dict(
            type='mmdeepkd.DetectorDistiller', student=retinanet(),
            teacher=retinanet(), losses=DIFFKD,
            teacher_checkpoint=str(tmp_path / 'teacher.pth')))
        found.append(distilled(loss_dict(distiller)))

    assert all(not torch.equal(value, found[1][name])
               for name, value in found[0].items())
