"""What the classifier distiller returns: names, streams, weights, views."""
import copy

import pytest
import torch

from tests.helpers import view_losses  # noqa: F401  (registers its loss)
from tests.helpers.classifier_runs import classifier_losses, classifier_steps
from tests.helpers.classifiers import (
    MIXING,
    build_classifier,
    image_batch,
    make_distiller,
    resnet,
    timm_net,
)
from tests.helpers.training import distilled, equal_tensors

STUDENTS = {'resnet': resnet, 'timm': timm_net}
LOSSES = {
    'KDLoss': ({}, {'distill'}),
    'DKDLoss': ({}, {'target', 'non_target'}),
    'DeepKDLoss': ({}, {'target', 'non_target'}),
    'GDKDLoss': (dict(k=2), {'target', 'non_target'}),
    'DISTLoss': ({}, {'distill'}),
}
VIEWS = dict(type='mmdeepkd.WeightedViewsLoss')
KD = dict(type='mmdeepkd.KDLoss')


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('student', STUDENTS)
def test_one_iteration_of_every_loss(student, loss, tmp_path):
    arguments, streams = LOSSES[loss]
    distiller = make_distiller(
        tmp_path, STUDENTS[student](), resnet(width=6),
        losses=dict(type=f'mmdeepkd.{loss}', **arguments))
    before = copy.deepcopy(distiller.state_dict())
    log, = classifier_steps(distiller)

    assert {name.split('.')[0] for name in distilled(log)} == streams
    assert torch.stack(list(log.values())).isfinite().all()
    assert min(distilled(log).values()) > 0
    moved = [k for k, v in distiller.state_dict().items()
             if v.is_floating_point() and not torch.equal(v, before[k])]
    assert {'conv_stem.weight', 'classifier.weight'} < set(moved) or {
        'backbone.conv1.weight', 'head.fc.weight'} < set(moved)


@pytest.mark.parametrize('loss', ['KDLoss', 'GDKD3Loss', 'DISTLoss'])
def test_mixed_images_with_losses_that_take_them(loss, tmp_path):
    distiller = make_distiller(
        tmp_path, resnet(train_cfg=MIXING), resnet(width=6),
        losses=dict(type=f'mmdeepkd.{loss}'))
    log, = classifier_steps(distiller)

    assert torch.stack(list(log.values())).isfinite().all()
    assert min(distilled(log).values()) > 0


@pytest.mark.parametrize('student', STUDENTS)
def test_the_students_loss_has_a_name_of_its_own(student, tmp_path):
    """Called ``loss`` as in mmpretrain it would be logged as the total."""
    distiller = make_distiller(tmp_path, STUDENTS[student](), resnet())
    losses = classifier_losses(distiller)
    total, log = distiller.parse_losses(losses)

    assert set(losses) == {
        'loss_cls', 'target.loss_deepkd', 'non_target.loss_deepkd'}
    assert float(log['loss'].detach()) == pytest.approx(
        sum(float(value.detach()) for value in losses.values()))
    assert {k: float(v.detach()) for k, v in total.streams.items()} == {
        'task': float(losses['loss_cls'].detach()),
        'target': float(losses['target.loss_deepkd'].detach()),
        'non_target': float(losses['non_target.loss_deepkd'].detach())}


def test_the_students_loss_is_that_of_plain_mmpretrain(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(width=6))
    plain = build_classifier(resnet())
    plain.load_state_dict(distiller.state_dict())
    ours, theirs = (classifier_losses(m) for m in (distiller, plain))

    assert torch.equal(ours['loss_cls'], theirs['loss'])


def test_the_accuracy_of_the_head_is_logged(tmp_path):
    distiller = make_distiller(
        tmp_path, resnet(head=dict(cal_acc=True)), resnet())
    losses = classifier_losses(distiller)
    _, log = distiller.parse_losses(losses)

    assert 0 <= float(log['accuracy_top-1']) <= 100


def test_task_weight_scales_the_task_alone(tmp_path):
    totals = []
    for weight in (1., 0.5):
        distiller = make_distiller(
            tmp_path, resnet(), resnet(width=6), task_weight=weight)
        total, _ = distiller.parse_losses(classifier_losses(distiller))
        totals.append({k: float(v.detach())
                       for k, v in total.streams.items()})

    assert totals[1]['task'] == pytest.approx(0.5 * totals[0]['task'])
    for stream in ('target', 'non_target'):
        assert totals[1][stream] == totals[0][stream]


def two_views(**kwargs):
    return resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'),
                  **kwargs)


def two_batches(images=4):
    """The weak and the strong images of one batch, with their labels."""
    weak, strong = (image_batch(seed, images) for seed in (0, 7))
    return dict(weak, inputs=[weak['inputs'], strong['inputs']])


def view(batch, index):
    return dict(batch, inputs=batch['inputs'][index])


def test_each_view_has_the_losses_that_it_has_alone(tmp_path):
    student = two_views(head=dict(cal_acc=True), norm_eval=True)
    student['backbone']['norm_eval'] = True
    teacher = resnet(width=6)
    both = make_distiller(tmp_path, student, teacher, losses=VIEWS)
    alone = make_distiller(tmp_path, student, teacher, losses=KD)
    batch = two_batches()
    for distiller in (both, alone):
        distiller.train()
    losses = classifier_losses(both, batch)
    weak, strong = (classifier_losses(alone, view(batch, i)) for i in (0, 1))

    assert set(losses) == {
        'loss_cls_weak', 'accuracy_top-1_weak', 'loss_cls_strong',
        'accuracy_top-1_strong', 'target.loss_views', 'non_target.loss_views'}
    assert weak['loss_cls'] != strong['loss_cls']
    assert torch.equal(losses['loss_cls_weak'], weak['loss_cls'])
    assert torch.equal(losses['loss_cls_strong'], strong['loss_cls'])
    assert torch.equal(losses['target.loss_views'], weak['distill.loss_kd'])
    torch.testing.assert_close(losses['non_target.loss_views'],
                               10 * strong['distill.loss_kd'])


def test_both_views_are_task(tmp_path):
    distiller = make_distiller(
        tmp_path, two_views(), resnet(), losses=VIEWS, task_weight=0.5)
    losses = classifier_losses(distiller, two_batches())
    total, _ = distiller.parse_losses(losses)

    assert float(total.streams['task'].detach()) == pytest.approx(
        0.5 * float((losses['loss_cls_weak'] +
                     losses['loss_cls_strong']).detach()))


def test_the_views_run_one_after_the_other(tmp_path):
    """As in the released code: each has its own batch statistics."""
    distiller = make_distiller(tmp_path, two_views(), resnet(), losses=VIEWS)
    plain = build_classifier(resnet())
    plain.load_state_dict(distiller.state_dict())
    batch = two_batches()
    distiller.train()
    classifier_losses(distiller, batch)
    plain.train()
    for i in (0, 1):
        classifier_losses(plain, view(batch, i))

    assert equal_tensors(distiller.state_dict(), plain.state_dict())


@pytest.mark.parametrize('loss', [
    dict(type='mmdeepkd.MLKDLoss'),
    dict(type='mmdeepkd.MLKDLoss', base='dkd'),
    dict(type='mmdeepkd.CRLDLoss'),
    dict(type='mmdeepkd.CRLDLoss', base='kd', topk=2),
], ids=lambda loss: f'{loss["type"]} {loss.get("base")}')
def test_one_iteration_of_two_views(loss, tmp_path):
    distiller = make_distiller(
        tmp_path, two_views(), resnet(width=6), losses=loss)
    before = distiller.head.fc.weight.clone()
    log, = classifier_steps(distiller, batch=two_batches())

    assert torch.stack(list(log.values())).isfinite().all()
    assert log['loss_cls_weak'] > 0 < log['loss_cls_strong']
    assert ('target.' in ' '.join(log)) == ('base' in loss)
    assert not torch.equal(distiller.head.fc.weight, before)


def test_validation_of_a_two_view_run_has_one_view(tmp_path):
    distiller = make_distiller(tmp_path, two_views(), resnet(), losses=VIEWS)
    samples = distiller.eval().test_step(image_batch())

    assert all(sample.pred_score.shape == (5, ) for sample in samples)
