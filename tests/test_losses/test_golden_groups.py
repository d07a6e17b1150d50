"""GDKD and its relatives, DKDMod and DIST against the reference's numbers."""
import pytest

from mmdeepkd.losses import (
    DISTLoss,
    DKDModLoss,
    GDKD3Loss,
    GDKDAutoWLoss,
    GDKDLoss,
    LSGDKDLoss,
)
from tests import golden
from tests.test_losses.test_golden import run

# The reference has 0 log 0 where a group is empty; here that is exactly 0,
# as test_gdkd.py in tests/test_functional asks.
EMPTY_GROUP = {'gdkd__edge_kC', 'gdkd3__edge_k1', 'gdkd3__edge_kC'}


def supported(pattern):
    return [name for name in golden.names(pattern) if name not in EMPTY_GROUP]


def weights(data):
    return [data['hp_w0'], data['hp_w1'], data['hp_w2']]


def check_total(loss, data):
    """Compare a loss and its gradient where the reference is finite."""
    losses, grads = run(loss, data)
    if golden.is_finite(data['loss']):
        golden.check_value(sum(losses.values()), data, 'loss')
        golden.check_grad(sum(grads.values()), data, 'grad_student')
    assert all(grad.isfinite().all() for grad in grads.values())
    return losses, grads


@pytest.mark.parametrize('name', supported('gdkd__*'))
def test_gdkd(name):
    data = golden.load(name)
    loss = GDKDLoss(data['hp_k'], weights(data), data['hp_temperature'],
                    data['hp_kl_type'], data['hp_strategy'])

    losses, grads = check_total(loss, data)

    golden.check_stable(sum(losses.values()), data, 'stable_loss')
    if golden.is_finite(data['high']):
        expected = dict(
            data,
            target=data['hp_w0'] * data['high'],
            grad_target=data['hp_w0'] * data['grad_high'])
        golden.check_value(losses['target'], expected, 'target')
        golden.check_grad(grads['target'], expected, 'grad_target')


@pytest.mark.parametrize('name', supported('gdkd3__*'))
def test_gdkd3(name):
    data = golden.load(name)
    loss = GDKD3Loss(data['hp_k'], weights(data), data['hp_temperature'])

    check_total(loss, data)


@pytest.mark.parametrize('name', sorted(EMPTY_GROUP))
def test_the_unsupported_files_are_nan_in_the_reference(name):
    assert not golden.is_finite(golden.load(name)['loss'])


@pytest.mark.parametrize('name', golden.names('dkdmod__*'))
def test_dkdmod(name):
    data = golden.load(name)
    loss = DKDModLoss(data['hp_alpha'], data['hp_beta'],
                      data['hp_temperature'], data['hp_strategy'],
                      data['hp_kl_type'])

    losses, _ = check_total(loss, data)

    for stream, part, weight in (('target', 'tckd', 'alpha'),
                                 ('non_target', 'nckd', 'beta')):
        golden.check_value(losses[stream] / data[f'hp_{weight}'], data, part)


@pytest.mark.parametrize('name', golden.names('lsgdkd__*'))
def test_lsgdkd(name):
    data = golden.load(name)
    loss = LSGDKDLoss(data['hp_k'], weights(data), data['hp_temperature'],
                      data['hp_norm_mode'])

    losses, _ = check_total(loss, data)

    golden.check_value(losses['target'] / data['hp_w0'], data, 'high')


@pytest.mark.parametrize('name', golden.names('gdkdautow__*'))
def test_gdkdautow(name):
    data = golden.load(name)
    mode = data['hp_mode']
    # The reference has one set of weights per form of a term.
    top = data['hp_w1' if mode == 'v2' else 'hp_m1']
    other = data['hp_w2' if mode == 'v3' else 'hp_m2']
    loss = GDKDAutoWLoss(data['hp_k'], (1.0, top, other),
                         data['hp_temperature'], mode)

    losses, _ = check_total(loss, data)

    golden.check_value(losses['target'], data, 'high')


@pytest.mark.parametrize('name', golden.names('dist__*'))
def test_dist(name):
    data = golden.load(name)
    loss = DISTLoss(data['hp_beta'], data['hp_gamma'], data['hp_temperature'])

    check_total(loss, data)
    inter, _ = run(DISTLoss(1.0, 0.0, data['hp_temperature']), data)
    intra, _ = run(DISTLoss(0.0, 1.0, data['hp_temperature']), data)

    golden.check_value(inter['distill'], data, 'inter')
    golden.check_value(intra['distill'], data, 'intra')
