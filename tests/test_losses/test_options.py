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
from mmdeepkd.losses import DeepKDLoss, DKDLoss, KDLoss


def batch(num_rows=16, num_classes=10):
    generator = torch.Generator().manual_seed(0)
    shape = (num_rows, num_classes)
    student, teacher = 3 * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    # The release differs from the paper where the teacher is right.
    target[::2] = teacher[::2].argmax(1)
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
])
def test_each_option_changes_its_streams_and_no_other(loss, name, value,
                                                      changed):
    default = loss()(*batch())
    other = loss(**{name: value})(*batch())

    assert {s for s in default if default[s] != other[s]} == changed
    if name in ('alpha', 'beta', 'loss_weight'):
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


@pytest.mark.parametrize('loss', [KDLoss, DKDLoss, DeepKDLoss])
@pytest.mark.parametrize('value', [0.0, -1.0, math.nan, math.inf])
def test_temperature_must_be_positive(loss, value):
    with pytest.raises(ValueError, match=f'temperature is {value} but'):
        loss(temperature=value)


@pytest.mark.parametrize(('loss', 'name'), [(KDLoss, 'loss_weight'),
                                            (DKDLoss, 'alpha'),
                                            (DKDLoss, 'beta'),
                                            (DeepKDLoss, 'alpha'),
                                            (DeepKDLoss, 'beta')])
@pytest.mark.parametrize('value', [-0.1, math.nan, math.inf])
def test_weights_must_be_finite_and_not_negative(loss, name, value):
    with pytest.raises(ValueError, match=f'{name} is {value} but must be fin'):
        loss(**{name: value})


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
