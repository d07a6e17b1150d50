"""MLKD against the reference's numbers and plain loops."""
import pytest
import torch
import torch.nn.functional as F

from mmdeepkd.functional import kd_divergence, standardize_logits
from mmdeepkd.losses import MLKDLoss
from tests import golden, slow_reference
from tests.helpers.two_views import (
    batch,
    check,
    gradients,
    load_golden,
)


def cross_entropy(data, views, target):
    return data['hp_ce_weight'] * sum(
        F.cross_entropy(view, target) for view in views)


@pytest.mark.parametrize('name', golden.names('mlkd__deepkd_*'))
def test_the_released_deepkd_form(name):
    data, student, teacher, target = load_golden(name)
    decoupled = data['hp_DKD']
    loss = MLKDLoss(
        loss_weight=data['hp_kd_weight'],
        base='dkd' if decoupled else 'kd',
        alpha=data['hp_alpha'] if decoupled else 1.0,
        beta=data['hp_beta'] if decoupled else 1.0,
        semantics='released')

    # The release adds the consistencies to the task, without warm-up.
    consistency = loss(student, teacher, target)['distill']
    task = cross_entropy(data, student, target) + consistency
    check(data, 'loss_ce', task, student)
    if decoupled:
        loss.warmup_factor = min(data['hp_epoch'] / data['hp_warmup'], 1)
    losses = loss(student, teacher, target)
    check(data, 'loss_tckd', losses['target'], student)
    check(data, 'loss_nckd', losses['non_target'], student)


def test_the_released_plain_form():
    data, student, teacher, target = load_golden('mlkd__plain')
    weight = data['hp_kd_weight']
    # The released slip: at T = 2 and 6 its strong view is the weak one.
    slip = ((student[0], student[0]), (teacher[0], teacher[0]))

    total = 0
    for temperatures, views in (((4.0, 3.0, 5.0), (student, teacher)),
                                ((2.0, 6.0), slip)):
        loss = MLKDLoss(temperatures, weight, semantics='released')
        total = total + loss(*views, target)['distill']
    consistency = MLKDLoss(
        loss_weight=weight, base='kd', semantics='released')(
            student, teacher, target)['distill']

    check(data, 'loss_ce', cross_entropy(data, student, target), student)
    keys = ('loss_kd', 'loss_cc', 'loss_bc')
    golden.check_value(total, dict(data, all=sum(data[k] for k in keys)),
                       'all')
    golden.check_value(
        consistency, dict(data, cc_bc=data['loss_cc'] + data['loss_bc']),
        'cc_bc')
    for i, name in enumerate(('weak', 'strong')):
        expected = sum(data[f'grad_{name}__{key}'] for key in keys)
        golden.check_grad(
            gradients(total, student)[i], dict(data, all=expected), 'all')


def unsure(values):
    """Return which values are not above the middle of an even number."""
    middle = sorted(values)
    half = len(values) // 2
    return [v <= (middle[half - 1] + middle[half]) / 2 for v in values]


def slow_mlkd(student, teacher, temperature):
    """Return the unweighted terms: KD, class and batch consistency."""
    (weak_s, strong_s), (weak_t, strong_t) = (
        [view.tolist() for view in views] for views in (student, teacher))
    probs = [slow_reference.softmax(row, 1.0) for row in weak_t]
    mask = unsure([max(row) for row in probs])
    class_mask = unsure([sum(column) for column in zip(*probs)])
    num_rows, num_classes = len(weak_s), len(weak_s[0])
    soft_s, soft_t = ([slow_reference.softmax(row, temperature)
                       for row in rows] for rows in (weak_s, weak_t))

    def distance(a, b, c, d):
        products = [sum(x * y for x, y in zip(*pair))
                    for pair in ((a, b), (c, d))]
        return (products[0] - products[1])**2

    kd = cc = bc = 0
    for n in range(num_rows):
        kd += slow_reference.kd(strong_s[n], strong_t[n], temperature)
        if mask[n]:
            kd += slow_reference.kd(weak_s[n], weak_t[n], temperature)
            bc += sum(distance(soft_t[n], soft_t[m], soft_s[n], soft_s[m])
                      for m in range(num_rows))
    columns_s, columns_t = list(zip(*soft_s)), list(zip(*soft_t))
    for c in range(num_classes):
        if class_mask[c]:
            cc += sum(distance(columns_t[c], columns_t[d], columns_s[c],
                               columns_s[d]) for d in range(num_classes))
    return kd / num_rows, cc / num_classes, bc / num_rows


def test_the_masks_select_samples_and_classes():
    student, teacher, target = batch(num_classes=6)
    loss = MLKDLoss(temperatures=(4.0, 1.0), loss_weight=0.7)

    plain = loss(student, teacher, target)['distill']
    decoupled = MLKDLoss((4.0, 1.0), 0.7, 'kd')(student, teacher, target)

    terms = [slow_mlkd(student, teacher, t) for t in (4.0, 1.0)]
    kd, cc, bc = (0.7 * sum(column) for column in zip(*terms))
    torch.testing.assert_close(plain.item(), kd + cc + bc)
    torch.testing.assert_close(decoupled['distill'].item(), cc + bc)


def test_the_released_masks_only_scale():
    paper = MLKDLoss()(*batch())['distill']
    released = MLKDLoss(semantics='released')(*batch())['distill']

    assert not torch.isclose(paper, released, rtol=1e-3)


@pytest.mark.parametrize(('name', 'value', 'changed'), [
    ('temperatures', (2.0, ), {'target', 'non_target', 'distill'}),
    ('loss_weight', 0.5, {'target', 'non_target', 'distill'}),
    ('base', 'dkd', {'non_target'}),
    ('alpha', 0.5, {'target'}),
    ('beta', 0.5, {'non_target'}),
    ('topk', 2, {'non_target'}),
    ('standardize', True, {'target', 'non_target'}),
    ('semantics', 'released', {'target', 'non_target', 'distill'}),
])
def test_each_option_changes_its_streams_and_no_other(name, value, changed):
    default = MLKDLoss(base='kd')(*batch())
    other = MLKDLoss(**{'base': 'kd', name: value})(*batch())

    assert {s for s in default if default[s] != other[s]} == changed
    if name == 'loss_weight':
        for stream in changed:
            torch.testing.assert_close(other[stream],
                                       0.5 / 0.9 * default[stream])


def test_standardising_leaves_the_confidences_alone():
    student, teacher, target = batch()
    hotter = [3 * view for view in teacher]

    for views in (teacher, hotter):
        losses = MLKDLoss(base='kd', standardize=True)(student, views, target)
        consistency = MLKDLoss(base='kd')(student, views, target)['distill']

        torch.testing.assert_close(losses['distill'], consistency)


def test_a_single_sample_is_always_in_the_mask():
    student, teacher, target = batch(num_rows=1)
    loss = MLKDLoss((2.0, ), 1.0, base='kd', standardize=True)

    losses = loss(student, teacher, target)

    expected = sum(
        kd_divergence(standardize_logits(s), standardize_logits(t), 2.0)
        for s, t in zip(student, teacher))
    torch.testing.assert_close(losses['target'] + losses['non_target'],
                               expected.sum())


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match='temperatures is empty'):
        MLKDLoss(temperatures=())
    with pytest.raises(ValueError, match='temperature is -2'):
        MLKDLoss(temperatures=(4.0, -2.0))
    with pytest.raises(ValueError, match='loss_weight is -1'):
        MLKDLoss(loss_weight=-1.0)
