"""What the detector distiller returns: names, streams, weights, stages."""
import copy

import pytest
import torch

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import make_distiller
from tests.helpers.training import distilled, loss_dict, train_steps

LOSSES = {
    'kd': dict(type='mmdeepkd.KDLoss'),
    'dkd': dict(type='mmdeepkd.DKDLoss'),
    'deepkd over kd': dict(type='mmdeepkd.DeepKDLoss', base='kd', topk=2),
    'deepkd over dkd': dict(
        type='mmdeepkd.DeepKDLoss', base='dkd', standardize=True),
}
DETECTORS = {
    'faster': (faster_rcnn, faster_rcnn),
    'mask': (mask_rcnn, faster_rcnn),
    'cascade': (cascade_rcnn, cascade_rcnn),
}
TASK = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox'}


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('detector', DETECTORS)
def test_one_iteration_of_every_pair(detector, loss, tmp_path):
    student, teacher = DETECTORS[detector]
    distiller = make_distiller(
        tmp_path, student(), teacher(width=6), losses=LOSSES[loss])
    before = copy.deepcopy(distiller.state_dict())
    batch = detection_batch(masks=detector == 'mask')
    log, = train_steps(distiller, batch=batch)

    assert torch.stack(list(log.values())).isfinite().all()
    stages = 3 if detector == 'cascade' else 1
    assert len(distilled(log)) == (1 if loss == 'kd' else 2) * stages
    assert min(distilled(log).values()) > 0
    moved = [k for k, v in distiller.state_dict().items()
             if v.is_floating_point() and not torch.equal(v, before[k])]
    assert any(k.startswith('backbone') for k in moved)
    assert any(k.startswith('roi_head') for k in moved)


def test_names_of_a_faster_student(tmp_path):
    distiller = make_distiller(tmp_path, faster_rcnn(), cascade_rcnn())

    assert set(loss_dict(distiller)) == TASK | {
        'target.loss_deepkd', 'non_target.loss_deepkd'}


def test_stages_append_their_number(tmp_path):
    distiller = make_distiller(
        tmp_path, cascade_rcnn(), cascade_rcnn(),
        losses=dict(type='mmdeepkd.KDLoss'))

    assert set(distilled(loss_dict(distiller))) == {
        f'distill.loss_kd_s{i}' for i in range(3)}


def test_a_second_loss_of_a_kind_appends_its_number(tmp_path):
    kd = dict(type='mmdeepkd.KDLoss')
    distiller = make_distiller(
        tmp_path, cascade_rcnn(stages=2), faster_rcnn(),
        losses=[kd, dict(kd, loss_weight=2.), dict(type='mmdeepkd.DKDLoss')])
    losses = distilled(loss_dict(distiller))

    assert set(losses) == {
        f'{name}_s{i}' for i in range(2) for name in
        ('distill.loss_kd', 'distill.loss_kd_1', 'target.loss_dkd',
         'non_target.loss_dkd')}
    assert float(losses['distill.loss_kd_1_s0']) == pytest.approx(
        2 * float(losses['distill.loss_kd_s0']))


def test_stage_weights_are_those_of_mmdet(tmp_path):
    kd = dict(type='mmdeepkd.KDLoss')
    student = cascade_rcnn()
    student['roi_head']['stage_loss_weights'] = [1, 1, 1]
    results = []
    for weights in ([1, 1, 1], [1, 0.5, 0.25]):
        student['roi_head']['stage_loss_weights'] = weights
        distiller = make_distiller(
            tmp_path, student, cascade_rcnn(), losses=kd)
        torch.manual_seed(0)
        results.append(distilled(loss_dict(distiller)))

    for stage, weight in enumerate([1, 0.5, 0.25]):
        name = f'distill.loss_kd_s{stage}'
        assert float(results[1][name]) == pytest.approx(
            weight * float(results[0][name]), rel=1e-6)
        assert results[0][name] > 0


def test_streams_sum_to_the_total(tmp_path):
    distiller = make_distiller(tmp_path, cascade_rcnn(), cascade_rcnn())
    losses = loss_dict(distiller)
    total, log = distiller.parse_losses(losses)

    assert set(total.streams) == {'task', 'target', 'non_target'}
    torch.testing.assert_close(sum(total.streams.values()), total)
    task = sum(float(log[k].detach()) for k in log
               if 'loss' in k and k != 'loss' and k not in distilled(log))
    assert float(total.streams['task'].detach()) == pytest.approx(task)
    assert {'s0.acc', 's2.loss_bbox'} < set(log)


def test_task_weight_scales_the_task_alone(tmp_path):
    logs, totals = [], []
    for weight in (1., 0.5):
        distiller = make_distiller(
            tmp_path, faster_rcnn(), faster_rcnn(width=6),
            task_weight=weight)
        torch.manual_seed(0)
        total, log = distiller.parse_losses(loss_dict(distiller))
        totals.append({k: float(v.detach())
                       for k, v in total.streams.items()})
        logs.append({k: float(v.detach()) for k, v in log.items()})

    assert totals[1]['task'] == pytest.approx(0.5 * totals[0]['task'])
    for stream in ('target', 'non_target'):
        assert totals[1][stream] == totals[0][stream]
    assert logs[1]['acc'] == logs[0]['acc']
    assert logs[1]['loss_rpn_cls'] == pytest.approx(
        0.5 * logs[0]['loss_rpn_cls'])
