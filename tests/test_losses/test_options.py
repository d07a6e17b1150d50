"""Every option changes the loss as it says, and wrong ones are refused."""
import math

import pytest
import torch

from mmdeepkd.functional import (
    dkd_divergences,
    kd_divergence,
    standardize_logits,
    topk_keep_mask,
)
from mmdeepkd.losses import (
    DeepKDLoss,
    DISTLoss,
    DKDLoss,
    DKDModLoss,
    GDKD3Loss,
    GDKDAutoWLoss,
    GDKDLoss,
    GDKDSLoss,
    KDLoss,
    LSGDKDLoss,
)


def batch(num_rows=16, num_classes=10):
    generator = torch.Generator().manual_seed(0)
    shape = (num_rows, num_classes)
    student, teacher = 3 * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    # The release differs from the paper where the teacher is right.
    target[::2] = teacher[::2].argmax(1)
    # Detection: a background RoI that the teacher takes for an object.
    target[1] = (teacher[1].argmax() != num_classes - 1) * (num_classes - 1)
    return student, teacher, target


@pytest.mark.parametrize(('loss', 'name', 'value', 'changed'), [
    (KDLoss, 'temperature', 2.0, {'distill'}),
    (KDLoss, 'loss_weight', 0.5, {'distill'}),
    (KDLoss, 'standardize', True, {'distill'}),
    (DKDLoss, 'alpha', 0.5, {'target'}),
    (DKDLoss, 'beta', 0.5, {'non_target'}),
    (DKDLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (DKDLoss, 'standardize', True, {'target', 'non_target'}),
    (DeepKDLoss, 'base', 'dkd', {'non_target'}),
    (DeepKDLoss, 'alpha', 0.5, {'target'}),
    (DeepKDLoss, 'beta', 0.5, {'non_target'}),
    (DeepKDLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (DeepKDLoss, 'topk', 3, {'non_target'}),
    (DeepKDLoss, 'standardize', True, {'target', 'non_target'}),
    (DeepKDLoss, 'semantics', 'released', {'non_target'}),
    (DKDModLoss, 'alpha', 0.5, {'target'}),
    (DKDModLoss, 'beta', 0.5, {'non_target'}),
    (DKDModLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (DKDModLoss, 'split', 'top1', {'target', 'non_target'}),
    (DKDModLoss, 'kl_type', 'reverse', {'non_target'}),
    (DKDModLoss, 'standardize', True, {'target', 'non_target'}),
    (GDKDLoss, 'k', 3, {'target', 'non_target'}),
    (GDKDLoss, 'weights', (2.0, 1.0, 8.0), {'target'}),
    (GDKDLoss, 'weights', (1.0, 2.0, 8.0), {'non_target'}),
    (GDKDLoss, 'weights', [1.0, 1.0, 9.0], {'non_target'}),
    (GDKDLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (GDKDLoss, 'kl_type', 'reverse', {'non_target'}),
    (GDKDLoss, 'kl_type', 'both', {'non_target'}),
    # The 5 best of 10 classes and the 5 worst part them alike.
    (GDKDLoss, 'strategy', 'worst', {'non_target'}),
    (GDKDLoss, 'standardize', True, {'target', 'non_target'}),
    (GDKD3Loss, 'k', 3, {'target', 'non_target'}),
    (GDKD3Loss, 'weights', (2.0, 1.0, 8.0), {'target'}),
    (GDKD3Loss, 'weights', (1.0, 2.0, 8.0), {'non_target'}),
    (GDKD3Loss, 'temperature', 2.0, {'target', 'non_target'}),
    (GDKD3Loss, 'standardize', True, {'target', 'non_target'}),
    (LSGDKDLoss, 'k', 3, {'target', 'non_target'}),
    (LSGDKDLoss, 'weights', (2.0, 1.0, 8.0), {'target'}),
    (LSGDKDLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (LSGDKDLoss, 'norm_mode', 'both', {'target', 'non_target'}),
    (LSGDKDLoss, 'norm_mode', 'other', {'target', 'non_target'}),
    (GDKDAutoWLoss, 'k', 3, {'target', 'non_target'}),
    (GDKDAutoWLoss, 'weights', (2.0, 6.0, 14.0), {'target'}),
    (GDKDAutoWLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (GDKDAutoWLoss, 'mode', 'v2', {'non_target'}),
    (GDKDAutoWLoss, 'mode', 'v3', {'non_target'}),
    (DISTLoss, 'beta', 0.5, {'distill'}),
    (DISTLoss, 'gamma', 0.5, {'distill'}),
    (DISTLoss, 'temperature', 2.0, {'distill'}),
    (DISTLoss, 'standardize', True, {'distill'}),
    (GDKDSLoss, 'weights', (2.0, 0.25, 1.0, 0.25), {'target'}),
    (GDKDSLoss, 'weights', (1.0, 0.5, 1.0, 0.25), {'non_target'}),
    (GDKDSLoss, 'weights', (1.0, 0.25, 2.0, 0.25), {'target'}),
    (GDKDSLoss, 'weights', (1.0, 0.25, 1.0, 0.5), {'non_target'}),
    (GDKDSLoss, 'temperature', 2.0, {'target', 'non_target'}),
    (GDKDSLoss, 'background', 'teacher', {'target', 'non_target'}),
    (GDKDSLoss, 'split', 'top1', {'target', 'non_target'}),
])
def test_each_option_changes_its_streams_and_no_other(loss, name, value,
                                                      changed):
    default = loss()(*batch())
    other = loss(**{name: value})(*batch())

    # A mask or another order of the divergence may round differently.
    assert {
        s
        for s in default
        if not torch.isclose(default[s], other[s], rtol=1e-12, atol=0)
    } == changed
    if name in ('alpha', 'beta', 'loss_weight') and loss is not DISTLoss:
        stream, = changed
        ratio = value / getattr(loss(), name)
        torch.testing.assert_close(other[stream], ratio * default[stream])


def test_a_hook_may_set_topk():
    loss = DeepKDLoss()
    loss.topk = 3

    expected = DeepKDLoss(topk=3)(*batch())

    assert loss(*batch()) == expected


def test_standardize_is_applied_to_both():
    student, teacher, target = batch()

    found = KDLoss(standardize=True)(student, teacher, target)

    expected = kd_divergence(
        standardize_logits(student), standardize_logits(teacher), 4.0)
    torch.testing.assert_close(found['distill'], expected.mean())


def test_over_kd_both_streams_sum_to_kd():
    for standardize in (False, True):
        deepkd = DeepKDLoss(standardize=standardize)(*batch())
        kd = KDLoss(standardize=standardize)(*batch())

        torch.testing.assert_close(
            sum(deepkd.values()), kd['distill'], rtol=1e-12, atol=1e-12)


def test_over_dkd_it_is_dkd():
    deepkd = DeepKDLoss(base='dkd', alpha=0.5, beta=3.0)(*batch())

    assert deepkd == DKDLoss(alpha=0.5, beta=3.0)(*batch())


def test_over_dkd_the_release_without_mask_is_dkd():
    released = DeepKDLoss(base='dkd', semantics='released')(*batch())

    assert released == DeepKDLoss(base='dkd')(*batch())


@pytest.mark.parametrize('topk', [1, 4, 9, 30])
def test_paper_weighs_every_sample_by_its_own_factor(topk):
    student, teacher, target = batch()
    keep = topk_keep_mask(teacher, target, topk)
    _, nckd = dkd_divergences(student, teacher, target, 4.0, keep)
    others = (teacher / 4).softmax(1).scatter(1, target[:, None], 0).sum(1)

    found = DeepKDLoss(topk=topk)(student, teacher, target)

    torch.testing.assert_close(found['non_target'], (others * nckd).mean())


@pytest.mark.parametrize('weight', [None, torch.linspace(0, 2, 16)])
def test_released_is_a_product_of_two_means(weight):
    student, teacher, target = batch()
    _, nckd = dkd_divergences(student, teacher, target, 4.0)
    others = (teacher / 4).softmax(1).scatter(1, target[:, None], 0).sum(1)
    ones = torch.ones(16) if weight is None else weight
    mean_others = (ones * others).sum() / ones.sum()

    found = DeepKDLoss(semantics='released')(student, teacher, target, weight)

    torch.testing.assert_close(found['non_target'],
                               (ones * nckd).mean() * mean_others)


def test_released_ranks_the_target_too():
    student, teacher, target = batch()
    top = teacher.argsort(dim=1, descending=True)[:, :4]
    keep = torch.zeros(16, 10, dtype=torch.bool).scatter_(1, top, True)
    _, expected = dkd_divergences(student, teacher, target, 4.0, keep)

    found = DeepKDLoss(
        'dkd', topk=4, semantics='released')(student, teacher, target)

    kept = keep.scatter(1, target[:, None], False).sum(1)
    assert set(kept.tolist()) == {3, 4}
    torch.testing.assert_close(found['non_target'], expected.mean())


def test_released_empty_rows_become_kd():
    student, teacher, _ = batch()
    target = teacher.argmax(1)

    released = DeepKDLoss(
        'dkd', topk=1, semantics='released')(student, teacher, target)
    paper = DeepKDLoss('dkd', topk=1)(student, teacher, target)

    torch.testing.assert_close(released['non_target'],
                               kd_divergence(student, teacher, 4.0).mean())
    assert paper['non_target'] == 0


def test_released_k_of_all_classes_is_no_mask():
    for topk in (10, 50):
        found = DeepKDLoss(topk=topk, semantics='released')(*batch())
        expected = DeepKDLoss(semantics='released')(*batch())
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('loss', [
    KDLoss, DKDLoss, DeepKDLoss, DKDModLoss, GDKDLoss, GDKD3Loss, LSGDKDLoss,
    GDKDAutoWLoss, DISTLoss, GDKDSLoss
])
@pytest.mark.parametrize('value', [0.0, -1.0, math.nan, math.inf])
def test_temperature_must_be_positive(loss, value):
    with pytest.raises(ValueError, match=f'temperature is {value} but'):
        loss(temperature=value)


@pytest.mark.parametrize(('loss', 'name'), [(KDLoss, 'loss_weight'),
                                            (DKDLoss, 'alpha'),
                                            (DKDLoss, 'beta'),
                                            (DeepKDLoss, 'alpha'),
                                            (DeepKDLoss, 'beta'),
                                            (DKDModLoss, 'beta'),
                                            (DISTLoss, 'beta'),
                                            (DISTLoss, 'gamma')])
@pytest.mark.parametrize('value', [-0.1, math.nan, math.inf])
def test_weights_must_be_finite_and_not_negative(loss, name, value):
    with pytest.raises(ValueError, match=f'{name} is {value} but must be fin'):
        loss(**{name: value})


def test_dkdmod_at_its_defaults_is_dkd():
    assert DKDModLoss()(*batch()) == DKDLoss()(*batch())


def test_lsgdkd_global_is_gdkd_standardised():
    assert LSGDKDLoss()(*batch()) == GDKDLoss(standardize=True)(*batch())


@pytest.mark.parametrize('k', [1, 4, 10])
def test_autow_of_weights_one_is_kd(k):
    loss = GDKDAutoWLoss(k, (1.0, 1.0, 1.0))

    torch.testing.assert_close(
        sum(loss(*batch()).values()),
        KDLoss()(*batch())['distill'],
        rtol=1e-12,
        atol=1e-12)


@pytest.mark.parametrize(
    'loss', [KDLoss(), DKDModLoss(split='top1'), GDKDLoss(), GDKD3Loss(),
             LSGDKDLoss(), LSGDKDLoss(norm_mode='both'), GDKDAutoWLoss(),
             DISTLoss(), GDKDSLoss(background='teacher', split='top1')])
def test_soft_targets_are_taken_where_no_target_is_used(loss):
    student, teacher, target = batch()
    soft = torch.rand(16, 10).softmax(1)

    assert not loss.uses_target
    assert loss(student, teacher, soft) == loss(student, teacher, target)


@pytest.mark.parametrize(
    'loss', [DKDLoss(), DeepKDLoss(), DKDModLoss(), GDKDSLoss(),
             GDKDSLoss(background='teacher'), GDKDSLoss(split='top1')])
def test_soft_targets_are_refused_where_the_target_splits(loss):
    student, teacher, _ = batch()
    name = type(loss).__name__

    assert loss.uses_target
    with pytest.raises(ValueError, match=f'{name} splits the classes by the '
                       r'target but .* shape \(16, 10\): train without Mixup'):
        loss(student, teacher, torch.rand(16, 10))


@pytest.mark.parametrize(('loss', 'options', 'error', 'message'), [
    (GDKDLoss, dict(k=0), ValueError, 'k is 0 but must be at least 1'),
    (GDKD3Loss, dict(k=2.5), TypeError, 'k is 2.5 but must be an int'),
    (GDKDLoss, dict(weights=(1.0, 8.0)), ValueError,
     'weights has 2 entries but must have 3'),
    (GDKDLoss, dict(weights=(1.0, -1.0, 8.0)), ValueError,
     r'weights\[1\] is -1.0 but must be finite'),
    (GDKDSLoss, dict(weights=(1.0, 1.0, 8.0)), ValueError,
     'weights has 3 entries but must have 4'),
    (GDKDLoss, dict(kl_type='mean'), ValueError, "kl_type is 'mean' but"),
    (GDKDLoss, dict(strategy='top'), ValueError, "strategy is 'top' but"),
    (LSGDKDLoss, dict(norm_mode='top'), ValueError, "norm_mode is 'top' but"),
    (GDKDAutoWLoss, dict(mode='v4'), ValueError, "mode is 'v4' but must"),
    (DKDModLoss, dict(split='label'), ValueError, "split is 'label' but"),
    (DKDModLoss, dict(kl_type='mean'), ValueError, "kl_type is 'mean' but"),
    (GDKDSLoss, dict(background='target'), ValueError,
     "background is 'target' but must be one of"),
    (GDKDSLoss, dict(split='label'), ValueError, "split is 'label' but must"),
    (GDKDLoss, dict(topk=5), TypeError, 'topk'),
    (DISTLoss, dict(loss_weight=1.0), TypeError, 'loss_weight'),
])
def test_wrong_options_of_the_others_raise(loss, options, error, message):
    with pytest.raises(error, match=message):
        loss(**options)


@pytest.mark.parametrize('loss', [GDKDLoss, GDKD3Loss, LSGDKDLoss,
                                  GDKDAutoWLoss])
def test_a_k_above_the_classes_raises(loss):
    with pytest.raises(ValueError, match='k is 11 but the logits have 10 cla'):
        loss(k=11)(*batch())


@pytest.mark.parametrize(('options', 'error', 'message'), [
    (dict(topk=0), ValueError, 'topk is 0 but must be at least 1'),
    (dict(topk=-3), ValueError, 'topk is -3 but must be at least 1'),
    (dict(topk=2.5), TypeError, 'topk is 2.5 but must be an int'),
    (dict(base='gdkd'), ValueError, "base is 'gdkd' but must be one of"),
    (dict(semantics='code'), ValueError, "semantics is 'code' but must be"),
    (dict(ttopk=5), TypeError, 'ttopk'),
])
def test_wrong_options_raise(options, error, message):
    with pytest.raises(error, match=message):
        DeepKDLoss(**options)


@pytest.mark.parametrize('semantics', ['paper', 'released'])
def test_a_k_below_one_set_later_raises(semantics):
    loss = DeepKDLoss(semantics=semantics)
    loss.topk = 0

    with pytest.raises(ValueError, match='k is 0 but must be at least 1'):
        loss(*batch())
