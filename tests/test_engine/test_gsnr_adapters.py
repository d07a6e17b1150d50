"""What is measured of a stream that trains adapters beside the student."""
import itertools

import pytest
import torch
from torch import nn

from mmdeepkd.engine import DecoupledSGD
from mmdeepkd.engine.adapters import student_indices
from mmdeepkd.engine.agreement import Agreement
from mmdeepkd.engine.observation import Observation
from mmdeepkd.engine.stream_burst import StreamBurst
from mmdeepkd.functional.gsnr import gsnr_offsets
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    distiller_config,
    image_batch,
    make_distiller,
    resnet,
    write_teacher,
)
from tests.helpers.toys import equal, weights
from tools.analysis.probe_steps import suggesting
from tools.analysis.probe_steps.measuring import StreamMeter

from .stream_runs import reports

LOSSES = [dict(type='mmdeepkd.DeepKDLoss'), dict(type='mmdeepkd.DiffKDLoss')]
SGD = dict(type='SGD', lr=0.01, momentum=0.9)
OWN = dict(task=0.05, target=-0.05, non_target=0.05, feature=0.)


def burst(counted=None):
    """Of a student of one parameter of two elements and an adapter."""
    params = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    optimizer = DecoupledSGD(params, lr=0.1,
                             offsets=dict(task=0., feature=0.05))
    return StreamBurst(optimizer, counted)


def gathered(counted, adapter=True):
    found = burst(counted)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        student = torch.randn(2, 2, generator=generator)
        other = 1e3 * torch.randn(3, generator=generator)
        found.add(Observation(
            dict(task=[student[0], None],
                 feature=[student[1], other if adapter else None]), {}))
    return found.report({'distill': [1]}, Agreement(nn.Identity()))


def test_averages_norms_and_cosines_are_the_students():
    report = gathered([0])
    part = report.pop('gsnr/feature/distill')

    assert report == gathered([0], adapter=False)
    assert set(report) == {
        'gsnr/task', 'gsnr/feature', 'grad_norm/task', 'grad_norm/feature',
        'grad_ratio/feature', 'grad_cosine/task-feature'}
    # All would be the adapter's, nearly.
    everything = gathered(None)
    assert everything['gsnr/feature/distill'] == part
    assert everything['grad_norm/feature'] > 100 * report['grad_norm/feature']


@pytest.mark.parametrize('value', [float('inf'), float('nan'), 1e30])
def test_an_overflow_in_an_adapter_leaves_an_update_out(value):
    found = burst([0])
    found.add(Observation(dict(
        task=[torch.ones(2), None],
        feature=[torch.ones(2), torch.tensor([1., value, 1.])]), {}))

    assert found.samples == 0


@pytest.fixture
def distiller(tmp_path):
    """A student of BatchNorm in evaluation: a batch gives one gradient."""
    model = make_distiller(tmp_path, resnet(norm_eval=True), resnet(width=6),
                           losses=LOSSES)
    return model.double().train()


def gradients(model, batches):
    """Of the student's parameters, {stream: (batches, elements)}."""
    params = list(model.student.parameters())
    found = {}
    # Their draws are counted: from the first on, as in the meter.
    for module in model.modules():
        if hasattr(module, 'num_draws'):
            module.num_draws = 0
    for seed in range(batches):
        batch = model.data_preprocessor(image_batch(seed), True)
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        for stream, loss in total.streams.items():
            grads = torch.autograd.grad(loss, params, retain_graph=True,
                                        allow_unused=True)
            found.setdefault(stream, []).append(torch.cat([
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for p, g in zip(params, grads)]))
    return {stream: torch.stack(rows) for stream, rows in found.items()}


def plain_gsnr(grads):
    """Of (n, elements), by the formula of functional.gsnr."""
    n, variance = len(grads), grads.var(dim=0)
    varies = variance > 0
    values = (n - 3) / (n - 1) * grads.mean(dim=0)[varies]**2 / variance[
        varies] - 1 / n
    return float(values.mean())


def test_a_probe_is_of_the_student(distiller):
    """Against a slow loop over its parameters."""
    meter = StreamMeter(distiller, 6)
    for seed in range(6):
        distiller.train_step(image_batch(seed), meter)
    found, grads = meter.measured(), gradients(distiller, 6)

    assert list(found.of('gsnr')) == ['task', 'target', 'non_target',
                                      'feature']
    for stream, rows in grads.items():
        assert found.of('gsnr')[stream].value == pytest.approx(
            plain_gsnr(rows), rel=1e-4)
        assert found.of('grad_norm')[stream].value == pytest.approx(
            float(rows.norm(dim=1).mean()), rel=1e-4)
    for first, second in itertools.combinations(grads, 2):
        cosine = torch.cosine_similarity(grads[first], grads[second], dim=1)
        assert found.of('grad_cosine')[f'{first}-{second}'].value == (
            pytest.approx(float(cosine.mean()), rel=1e-3))


def test_the_suggested_weight_makes_the_feature_gradient_as_long(distiller):
    def norms():
        meter = StreamMeter(distiller, 6)
        for module in distiller.modules():
            if hasattr(module, 'num_draws'):
                module.num_draws = 0
        for seed in range(6):
            distiller.train_step(image_batch(seed), meter)
        return meter.measured()

    found = norms()
    loss = distiller.losses[1]
    told = suggesting.weights_of([loss], 'feature')
    loss.loss_weight *= suggesting.suggest_factors(found)['feature']
    again = norms().of('grad_norm')

    assert told == [(0, 'loss_weight', 1.)]
    assert found.of('grad_norm')['feature'] != again['feature']
    assert again['feature'].value == pytest.approx(again['task'].value,
                                                   rel=1e-4)


def train(folder, hooks, wrapper):
    runner, _ = train_classifier(
        distiller_config(
            resnet(), resnet(width=6),
            write_teacher(resnet(width=6), folder.parent / 'teacher.pth'),
            losses=LOSSES),
        dict(type='mmdeepkd.DeepKDOptimWrapper', optimizer=SGD, **wrapper),
        folder, iterations=6, custom_hooks=hooks)
    return runner


@pytest.mark.parametrize('wrapper', [
    dict(delta=0.05), dict(offsets=OWN), dict(offsets=OWN, merge=False)],
    ids=['shared', 'own', 'alone'])
def test_adapters_are_a_part_of_the_report(wrapper, tmp_path):
    hook = dict(type='mmdeepkd.GSNRHook', interval=6, samples=4)
    runner = train(tmp_path / 'watched', [hook], wrapper)
    plain = train(tmp_path / 'plain', [], wrapper)
    report, = reports(tmp_path / 'watched')
    with_adapters = [name for name in report if name.endswith('/distill')]

    assert with_adapters == ['gsnr/feature/distill']
    # Features reach no head, and of the backbone all.
    stages = {name: value for name, value in report.items()
              if name.startswith('gsnr/feature/backbone')}
    assert min(stages.values()) <= report['gsnr/feature'] <= max(
        stages.values())
    assert 'gsnr/feature/head' not in report
    offset = runner.optim_wrapper.param_groups[0]['offsets']['feature']
    assert report['momentum/feature'] == pytest.approx(0.9 + offset)
    # And the training is the same to the bit.
    assert equal(weights(runner.model), weights(plain.model))
    params = list(runner.model.parameters())
    assert len(student_indices(runner.model, params)) < len(params)


def test_the_momentum_follows_the_students_ratio(tmp_path):
    hook = dict(type='mmdeepkd.GSNRMomentumHook', delta=0.05, interval=6,
                samples=4)
    runner = train(tmp_path / 'run', [hook], dict(offsets=OWN, merge=False))
    report, = reports(tmp_path / 'run')
    offsets = runner.optim_wrapper.param_groups[0]['offsets']

    assert report['gsnr_smooth/feature'] == pytest.approx(
        report['gsnr/feature'])
    assert offsets == pytest.approx(gsnr_offsets(
        {stream: report[f'gsnr/{stream}'] for stream in offsets}, 0.05))
    assert offsets['feature'] != 0.
