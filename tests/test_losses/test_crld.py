"""CRLD against the reference's numbers and plain loops."""
import pytest
import torch
import torch.nn.functional as F

from mmdeepkd.losses import CRLDLoss
from tests import golden, slow_reference
from tests.helpers.two_views import (
    batch,
    check,
    gradients,
    load_golden,
)

TAUS = dict(tau_weak=0.8, tau_strong=0.7)


def numbers(data):
    """Return the options that every file names."""
    return dict(
        temperature=data['hp_T'],
        wv_weight=data['hp_wv_weight'],
        cv_weight=data['hp_cv_weight'],
        tau_weak=data['hp_tau_w'],
        tau_strong=data['hp_tau_s'])


@pytest.mark.parametrize('name', golden.names('crld__deepkd_*'))
def test_the_released_deepkd_form(name):
    data, student, teacher, target = load_golden(name)
    decoupled = data['hp_DKD']
    loss = CRLDLoss(
        base='dkd' if decoupled else 'kd',
        alpha=data['hp_alpha'] if decoupled else 1.0,
        beta=data['hp_beta'] if decoupled else 1.0,
        topk=data['hp_topk'] or None,
        semantics='released',
        **numbers(data))
    if decoupled:
        loss.warmup_factor = min(data['hp_epoch'] / data['hp_warmup'], 1)

    losses = loss(student, teacher, target)

    check(data, 'loss_tckd', losses['target'], student)
    check(data, 'loss_nckd', losses['non_target'], student)
    task = sum(F.cross_entropy(view, target) for view in student)
    check(data, 'loss_ce', data['hp_ce_weight'] * task, student)


@pytest.mark.parametrize('semantics', ['paper', 'released'])
def test_the_plain_form(semantics):
    data, student, teacher, target = load_golden('crld__plain')

    losses = CRLDLoss(semantics=semantics, **numbers(data))(
        student, teacher, target)

    check(data, 'loss_kd', losses['distill'], student)


def test_over_kd_the_masks_select_the_same_samples():
    data, student, teacher, target = load_golden('crld__plain')

    losses = CRLDLoss(base='kd', **numbers(data))(student, teacher, target)

    check(data, 'loss_kd', sum(losses.values()), student)


def test_equals_the_slow_loop():
    student, teacher, target = batch(num_rows=8)
    loss = CRLDLoss(
        2.0, 1.5, 0.25, base='dkd', alpha=0.5, beta=3.0, **TAUS)

    losses = loss(student, teacher, target)

    expected = dict(target=0.0, non_target=0.0)
    counts = [0, 0]
    rows = zip(*(view.tolist() for view in (*student, *teacher)),
               target.tolist())
    for weak_s, strong_s, weak_t, strong_t, label in rows:
        sure = [max(slow_reference.softmax(weak_t, 1.0)) >= 0.8,
                max(slow_reference.softmax(strong_t, 1.0)) >= 0.7]
        counts = [count + flag for count, flag in zip(counts, sure)]
        for s, t, factor in ((weak_s, weak_t, 1.5 * sure[0]),
                             (strong_s, strong_t, 1.5 * sure[0]),
                             (strong_s, weak_t, 0.25 * sure[1]),
                             (weak_s, strong_t, 0.25 * sure[1])):
            args = (s, t, label, 2.0)
            expected['target'] += 0.5 * factor * slow_reference.tckd(*args) / 8
            expected['non_target'] += (
                3 * factor * slow_reference.nckd(*args) / 8)
    assert all(0 < count < 8 for count in counts)
    for stream, value in expected.items():
        torch.testing.assert_close(losses[stream].item(), value)


@pytest.mark.parametrize(('name', 'value', 'changed'), [
    ('temperature', 2.0, {'target', 'non_target'}),
    ('wv_weight', 0.5, {'target', 'non_target'}),
    ('cv_weight', 2.0, {'target', 'non_target'}),
    ('tau_weak', 0.0, {'target', 'non_target'}),
    ('tau_strong', 0.0, {'target', 'non_target'}),
    ('base', 'dkd', {'non_target'}),
    ('alpha', 0.5, {'target'}),
    ('beta', 0.5, {'non_target'}),
    ('topk', 2, {'non_target'}),
    ('standardize', True, {'target', 'non_target'}),
    ('semantics', 'released', {'target', 'non_target'}),
])
def test_each_option_changes_its_streams_and_no_other(name, value, changed):
    default = CRLDLoss(**{'base': 'kd', **TAUS})(*batch())
    other = CRLDLoss(**{'base': 'kd', **TAUS, name: value})(*batch())

    assert {s for s in default if default[s] != other[s]} == changed


def test_a_teacher_that_is_never_sure_distils_nothing():
    student, teacher, target = batch()

    losses = CRLDLoss(tau_weak=1.0, tau_strong=1.0)(
        student, [0.1 * view for view in teacher], target)

    assert losses['distill'] == 0
    assert not any(g.any() for g in gradients(losses['distill'], student))


def test_a_confidence_at_the_threshold_counts():
    student, _, target = batch(num_rows=1, num_classes=4)
    teacher = [torch.zeros(1, 4, dtype=torch.float64)] * 2

    losses = CRLDLoss(tau_weak=0.25, tau_strong=0.25)(student, teacher, target)

    assert losses['distill'] > 0


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(tau_weak=1.5), r'tau_weak is 1.5 but must be in \[0, 1\]'),
    (dict(tau_strong=-0.1), r'tau_strong is -0.1 but must be in \[0, 1\]'),
    (dict(wv_weight=-1.0), 'wv_weight is -1.0'),
    (dict(cv_weight=float('nan')), 'cv_weight is nan'),
    (dict(temperature=0.0), 'temperature is 0.0'),
])
def test_wrong_numbers_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CRLDLoss(**kwargs)
