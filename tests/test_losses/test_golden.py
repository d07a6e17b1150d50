"""Every loss module against the reference code's numbers."""
import pytest
import torch

from mmdeepkd.losses import DeepKDLoss, DKDLoss, GDKDLoss, KDLoss
from tests import golden


def run(loss, data, **kwargs):
    """Return the losses and their gradients to the student, by stream."""
    student = data['logits_student'].requires_grad_()
    losses = loss(student, data['logits_teacher'], data['target'], **kwargs)
    grads = {
        stream: torch.autograd.grad(value, student, retain_graph=True)[0]
        for stream, value in losses.items()
    }
    return losses, grads


def plugin_loss(data, semantics):
    """Return the loss that a golden file of DeepKD's plugin describes."""
    decoupled = data['hp_DKD']
    loss = DeepKDLoss(
        base='dkd' if decoupled else 'kd',
        alpha=data['hp_alpha'] if decoupled else 1.0,
        beta=data['hp_beta'] if decoupled else 1.0,
        temperature=data['hp_temperature'],
        topk=data['hp_topk'] or None,
        standardize=data['hp_logit_stand'],
        semantics=semantics)
    if decoupled:
        loss.warmup_factor = min(data['hp_epoch'] / data['hp_warmup'], 1)
    return loss


@pytest.mark.parametrize('name', golden.names('kd__*'))
def test_kd(name):
    data = golden.load(name)
    loss = KDLoss(data['hp_temperature'], standardize=data['hp_logit_stand'])

    losses, grads = run(loss, data)

    golden.check_value(losses['distill'], data, 'loss')
    golden.check_grad(grads['distill'], data, 'grad_student')


def test_standardized_kd():
    data = golden.load('lskd__basic')

    losses, grads = run(KDLoss(data['hp_temperature'], standardize=True), data)

    golden.check_value(losses['distill'], data, 'loss')
    golden.check_grad(grads['distill'], data, 'grad_student')


@pytest.mark.parametrize('name', golden.names('dkd__*'))
def test_dkd(name):
    data = golden.load(name)
    loss = DKDLoss(data['hp_alpha'], data['hp_beta'], data['hp_temperature'],
                   data['hp_logit_stand'])

    losses, grads = run(loss, data)

    if golden.is_finite(data['loss']):
        golden.check_value(sum(losses.values()), data, 'loss')
        golden.check_grad(sum(grads.values()), data, 'grad_student')
    golden.check_stable(sum(losses.values()), data, 'stable_loss')


def test_dkd_on_sampled_rois():
    data = golden.load('det__mdistiller_dkd')
    loss = DKDLoss(data['hp_alpha'], data['hp_beta'], data['hp_temperature'])

    losses, grads = run(loss, data)

    assert (data['target'] == data['hp_background_index']).any()
    golden.check_value(sum(losses.values()), data, 'loss')
    golden.check_grad(sum(grads.values()), data, 'grad_student')


@pytest.mark.parametrize('name', golden.names('mmdet__*'))
def test_row_weights_and_average_factor(name):
    data = golden.load(name)
    if '_gdkd_' in name:
        weights = (data['hp_w0'], data['hp_w1'], data['hp_w2'])
        loss = GDKDLoss(data['hp_k'], weights, data['hp_T'])
    elif '_dkd_' in name:
        loss = DKDLoss(data['hp_alpha'], data['hp_beta'], data['hp_T'])
    else:
        loss = KDLoss(data['hp_T'])
    reduction = {}
    if data['hp_mode'] == 'weighted':
        reduction = dict(
            weight=data['weight'], avg_factor=data['hp_avg_factor'])

    losses, grads = run(loss, data, **reduction)

    golden.check_value(sum(losses.values()), data, 'loss')
    golden.check_grad(sum(grads.values()), data, 'grad_student')


@pytest.mark.parametrize('name', golden.names('deepkd_plugin__*'))
def test_deepkd_released(name):
    data = golden.load(name)

    losses, grads = run(plugin_loss(data, 'released'), data)

    for stream, key in (('target', 'tckd'), ('non_target', 'nckd')):
        if golden.is_finite(data[f'{key}_mean']):
            golden.check_value(losses[stream], data, f'{key}_mean')
            golden.check_grad(grads[stream], data, f'grad_{key}')
        assert grads[stream].isfinite().all()


@pytest.mark.parametrize('name', golden.names('deepkd_plugin__*'))
def test_deepkd_paper(name):
    data = golden.load(name)

    losses, grads = run(plugin_loss(data, 'paper'), data)

    for stream, key in (('target', 'tckd'), ('non_target', 'nckd')):
        golden.check_stable(losses[stream], data, f'paper_{key}')
        assert grads[stream].isfinite().all()
    if golden.is_finite(data['tckd_mean']):
        golden.check_value(losses['target'], data, 'paper_tckd')
        golden.check_grad(grads['target'], data, 'grad_tckd')
    if data['hp_DKD'] and not data['hp_topk']:
        golden.check_grad(grads['non_target'], data, 'grad_nckd')
    if 'identity_full_kd' in data:
        golden.check_stable(sum(losses.values()), data, 'identity_full_kd')


def test_the_plugin_files_tell_both_semantics_apart():
    # Otherwise the two tests above would be one.
    different = 0
    for name in golden.names('deepkd_plugin__*'):
        data = golden.load(name)
        different += abs(data['paper_nckd'] - data['nckd_mean']) > 1e-3

    assert different >= 10
