"""The divergences of groups of classes: GDKD, GDKD3, LS-GDKD, masses."""
import pytest
import torch

from mmdeepkd.functional import (
    dkd_divergences,
    gdkd3_divergences,
    gdkd_divergences,
    kd_divergence,
    ls_gdkd_divergences,
    top_group_masses,
)
from tests import golden, slow_reference

KL_TYPES = ['forward', 'reverse', 'both']
NORM_EPS = 1e-7


def batch(num_rows, num_classes, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (num_rows, num_classes)
    return scale * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64)


def assert_rows(parts, rows):
    """Compare tuples of (N,) with a list of what the slow loop returned."""
    expected = torch.tensor(rows, dtype=torch.float64)
    torch.testing.assert_close(
        torch.stack(parts, dim=1), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(('num_classes', 'k'), [(2, 1), (2, 2), (3, 2),
                                                (9, 1), (9, 4), (9, 8),
                                                (9, 9)])
@pytest.mark.parametrize('temperature', [0.5, 4.0])
@pytest.mark.parametrize('kl_type', KL_TYPES)
@pytest.mark.parametrize('strategy', ['best', 'worst'])
def test_gdkd_equals_the_slow_loop(num_classes, k, temperature, kl_type,
                                   strategy):
    student, teacher = batch(6, num_classes)
    expected = []
    for s, t in zip(student.tolist(), teacher.tolist()):
        ranked = slow_reference.ranks(t)
        if strategy == 'worst':
            ranked = ranked[::-1]
        expected.append(
            slow_reference.grouped(s, t, (ranked[:k], ranked[k:]),
                                   temperature, kl_type))

    parts = gdkd_divergences(student, teacher, temperature, k, kl_type,
                             strategy)

    assert_rows(parts, expected)


@pytest.mark.parametrize(('num_classes', 'k'), [(2, 1), (2, 2), (3, 2),
                                                (9, 1), (9, 4), (9, 9)])
@pytest.mark.parametrize('temperature', [0.5, 4.0])
def test_gdkd3_equals_the_slow_loop(num_classes, k, temperature):
    student, teacher = batch(6, num_classes)
    expected = []
    for s, t in zip(student.tolist(), teacher.tolist()):
        ranked = slow_reference.ranks(t)
        groups = ranked[:1], ranked[1:k], ranked[k:]
        high, _, top, other = slow_reference.grouped(s, t, groups, temperature)
        expected.append([high, top, other])

    assert_rows(
        gdkd3_divergences(student, teacher, temperature, k), expected)


@pytest.mark.parametrize('standardized', ['both', 'other'])
@pytest.mark.parametrize('k', [1, 4, 8, 9])
def test_ls_gdkd_equals_the_slow_loop(standardized, k):
    student, teacher = batch(6, 9)

    def inside(logits, scaled):
        if not scaled or not logits:
            return logits
        return slow_reference.standardize(logits, NORM_EPS, unbiased=False)

    expected = []
    for s, t in zip(student.tolist(), teacher.tolist()):
        ranked = slow_reference.ranks(t)
        groups = ranked[:k], ranked[k:]
        rows = slow_reference.grouped(s, t, groups, 2.0)[:1]
        for group, scaled in zip(groups, (standardized == 'both', True)):
            pair = [inside([z[c] for c in group], scaled) for z in (s, t)]
            rows.append(slow_reference.kd(*pair, 2.0) if group else 0.0)
        expected.append(rows)

    assert_rows(
        ls_gdkd_divergences(student, teacher, 2.0, k, standardized), expected)


@pytest.mark.parametrize('k', [1, 4, 9])
def test_masses_equal_the_slow_loop_and_survive_a_certain_teacher(k):
    _, teacher = batch(6, 9)
    expected = []
    for row in teacher.tolist():
        ranked = slow_reference.ranks(row)
        groups = ranked[:k], ranked[k:]
        expected.append(slow_reference.masses(row, groups, 2.0))

    certain = top_group_masses(torch.tensor([[40.0, 0.0, 0.0]]), 1.0, 1)

    assert_rows(top_group_masses(teacher, 2.0, k), expected)
    assert certain[0] == 1
    assert certain[1].item() == pytest.approx(8.4967e-18, rel=1e-4)


@pytest.mark.parametrize(
    'name', [*golden.names('gdkd__*'), *golden.names('gdkd3__*')])
def test_golden_parts(name):
    data = golden.load(name)
    student = data['logits_student'].requires_grad_()
    args = student, data['logits_teacher'], data['hp_temperature']
    if name.startswith('gdkd3'):
        parts = gdkd3_divergences(*args, data['hp_k'])
    else:
        parts = gdkd_divergences(*args, data['hp_k'], data['hp_kl_type'],
                                 data['hp_strategy'])

    for key, part in zip(('high', 'low_top', 'low_other'), parts):
        grad, = torch.autograd.grad(part.mean(), student, retain_graph=True)
        # Around an empty group the reference is NaN or the KL of all.
        if golden.is_finite(data['loss']):
            golden.check_value(part.mean(), data, key)
            golden.check_grad(grad, data, f'grad_{key}')
        if f'stable_{key}' in data:
            golden.check_stable(part.mean(), data, f'stable_{key}')
        assert grad.isfinite().all()


@pytest.mark.parametrize('function', [gdkd_divergences, gdkd3_divergences])
@pytest.mark.parametrize('k', [1, 2, 5, 6])
def test_weighted_by_the_masses_the_parts_sum_to_kd(function, k):
    student, teacher = batch(16, 6)
    ranked = teacher.argsort(dim=1, descending=True)
    probs = (teacher / 2).softmax(1).gather(1, ranked)
    start = 1 if function is gdkd3_divergences else 0

    high, low_top, low_other = function(student, teacher, 2.0, k)
    total = (
        high + probs[:, start:k].sum(1) * low_top +
        probs[:, k:].sum(1) * low_other)

    torch.testing.assert_close(
        total,
        kd_divergence(student, teacher, 2.0),
        rtol=1e-12,
        atol=1e-12)


def test_one_best_class_is_dkd_of_the_teachers_choice():
    student, teacher = batch(16, 10)

    high, low_top, low_other = gdkd_divergences(student, teacher, 4.0, 1)
    tckd, nckd = dkd_divergences(student, teacher, teacher.argmax(1), 4.0)

    torch.testing.assert_close(high, tckd, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(low_other, nckd, rtol=1e-12, atol=1e-12)
    assert not low_top.any()


@pytest.mark.parametrize('kl_type', KL_TYPES)
def test_nckd_takes_the_same_kl_types(kl_type):
    student, teacher = batch(6, 9)
    target = torch.tensor([0, 1, 2, 8, 4, 3])
    expected = []
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist()):
        others = [c for c in range(9) if c != y]
        tckd, _, nckd = slow_reference.grouped(s, t, ([y], others), 2.0,
                                               kl_type)
        expected.append([tckd, nckd])

    assert_rows(
        dkd_divergences(student, teacher, target, 2.0, kl_type=kl_type),
        expected)


@pytest.mark.parametrize('level', [3.0, 1e4])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_an_empty_group_is_exactly_zero(level, dtype):
    student, teacher = batch(5, 7, scale=level).to(dtype)
    student.requires_grad_()
    empty = [
        gdkd_divergences(student, teacher, 1.0, 7)[2],
        gdkd3_divergences(student, teacher, 1.0, 1)[1],
        gdkd3_divergences(student, teacher, 1.0, 7)[2],
        ls_gdkd_divergences(student, teacher, 1.0, 7, 'both')[2],
    ]
    whole = gdkd_divergences(student, teacher, 1.0, 7)

    for part in empty:
        grad, = torch.autograd.grad(part.sum(), student, retain_graph=True)
        assert not part.any()
        assert not grad.any()
    # All mass is in the other group: nothing between, KD inside.
    grad, = torch.autograd.grad(whole[0].sum(), student, retain_graph=True)
    assert whole[0].abs().max() < 1e-5
    assert grad.abs().max() < 1e-5
    torch.testing.assert_close(whole[1], kd_divergence(student, teacher, 1.0))


def test_gradcheck_student_and_teacher():
    student, teacher = (z.requires_grad_() for z in batch(3, 5))

    def parts(student, teacher):
        found = [*gdkd3_divergences(student, teacher, 2.0, 3)]
        for kl_type in KL_TYPES:
            found += gdkd_divergences(student, teacher, 2.0, 2, kl_type)
        for standardized in ('both', 'other'):
            found += ls_gdkd_divergences(student, teacher, 2.0, 2,
                                         standardized)
        return tuple(found)

    assert torch.autograd.gradcheck(parts, (student, teacher))


def test_a_group_sees_only_its_own_classes():
    student, teacher = batch(8, 10)
    student.requires_grad_()
    best = teacher.topk(4, dim=1).indices
    top = torch.zeros(8, 10, dtype=torch.bool).scatter_(1, best, True)

    for parts in (gdkd_divergences(student, teacher, 4.0, 4),
                  ls_gdkd_divergences(student, teacher, 4.0, 4, 'both')):
        for part, group in zip(parts[1:], (top, ~top)):
            grad, = torch.autograd.grad(
                part.sum(), student, retain_graph=True)
            assert not grad[~group].any()
            assert grad[group].all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equal_logits_in_a_group_get_no_gradient_inside(dtype):
    student, teacher = batch(4, 6).to(dtype)
    student[0] = 0.1
    student[1] = -1e4
    student.requires_grad_()

    parts = ls_gdkd_divergences(student, teacher, 4.0, 3, 'both')

    for part in parts[1:]:
        grad, = torch.autograd.grad(part.sum(), student, retain_graph=True)
        assert not grad[:2].any()
        assert grad[2:].any()
        assert part.isfinite().all()


@pytest.mark.parametrize('k', [1, 3, 7])
def test_ties_still_form_groups_of_k(k):
    teacher = torch.zeros(4, 7)
    student, _ = batch(4, 7).float()

    masses = top_group_masses(teacher, 1.0, k)
    high, low_top, low_other = gdkd3_divergences(student, teacher, 1.0, k)

    torch.testing.assert_close(masses[0], torch.full((4, ), k / 7))
    assert torch.stack((high, low_top, low_other)).isfinite().all()


@pytest.mark.parametrize('function', [
    lambda *args: gdkd_divergences(args[0], *args),
    lambda *args: gdkd3_divergences(args[0], *args),
    lambda *args: ls_gdkd_divergences(args[0], *args, 'both'),
    top_group_masses,
])
@pytest.mark.parametrize(('k', 'error', 'message'), [
    (0, ValueError, 'k is 0 but must be at least 1'),
    (-2, ValueError, 'k is -2 but must be at least 1'),
    (6, ValueError, 'k is 6 but the logits have 5 class columns: choose k f'),
    (2.0, TypeError, 'k is 2.0 but must be an int'),
    (True, TypeError, 'k is True but must be an int'),
])
def test_k_must_count_classes(function, k, error, message):
    with pytest.raises(error, match=message):
        function(torch.zeros(3, 5), 4.0, k)


@pytest.mark.parametrize(('function', 'options', 'message'), [
    (gdkd_divergences, dict(k=2, kl_type='mean'),
     "kl_type is 'mean' but must be one of"),
    (gdkd_divergences, dict(k=2, strategy='top'),
     "strategy is 'top' but must be one of"),
    (ls_gdkd_divergences, dict(k=2, standardized='global'),
     "standardized is 'global' but must be one of"),
    (dkd_divergences, dict(target=torch.arange(3), kl_type='x'),
     "kl_type is 'x' but must be one of"),
])
def test_wrong_choices_raise(function, options, message):
    logits = torch.zeros(3, 5)

    with pytest.raises(ValueError, match=message):
        function(logits, logits, temperature=4.0, **options)
