"""Relations within a batch, and confidences: loops, gradients, extremes."""
import numpy as np
import pytest
import torch

from mmdeepkd.functional.confidence import (
    class_confidence,
    lower_half,
    sample_confidence,
)
from mmdeepkd.functional.consistency import (
    batch_consistency,
    class_consistency,
)
from tests import slow_reference
from tests.helpers.two_views import check, load_golden

BOTH = [batch_consistency, class_consistency]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def logits(*shape, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(
        *shape, generator=generator, dtype=torch.float64)


def slow_relations(rows):
    """Return the products of all pairs of rows."""
    return [[sum(a * b for a, b in zip(x, y)) for y in rows] for x in rows]


def slow_consistency(student, teacher, temperature, by_class):
    """Return one squared distance per class, or per sample."""
    relations = []
    for values in (teacher, student):
        rows = [slow_reference.softmax(row, temperature) for row in values]
        rows = list(zip(*rows)) if by_class else rows
        relations.append(slow_relations(rows))
    return [
        sum((a - b)**2 for a, b in zip(*pair)) for pair in zip(*relations)
    ]


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('function', BOTH)
def test_equals_the_slow_loop(function, temperature):
    student, teacher = logits(6, 4), logits(6, 4, seed=1)

    found = function(student, teacher, temperature)

    expected = slow_consistency(student.tolist(), teacher.tolist(),
                                temperature, function is class_consistency)
    torch.testing.assert_close(found,
                               torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(('key', 'function', 'confidence'), [
    ('loss_cc', class_consistency, class_confidence),
    ('loss_bc', batch_consistency, sample_confidence),
])
def test_golden(key, function, confidence):
    data, student, teacher, _ = load_golden('mlkd__plain')

    # The released mask scales the mean by the share that it marks.
    share = lower_half(confidence(teacher[0])).mean()
    total = sum(
        function(student[0], teacher[0], temperature).mean()
        for temperature in (4.0, 3.0, 5.0, 2.0, 6.0))

    check(data, key, data['hp_kd_weight'] * share * total, student)


@pytest.mark.parametrize('function', BOTH)
def test_gradcheck_student_and_teacher(function):
    student = logits(3, 4).requires_grad_()
    teacher = logits(3, 4, seed=1).requires_grad_()

    assert torch.autograd.gradcheck(lambda s, t: function(s, t, 2.0),
                                    (student, teacher))


@pytest.mark.parametrize('function', BOTH)
@pytest.mark.parametrize('dtype', DTYPES)
def test_finite_at_ten_thousand_inside_autocast_too(function, dtype):
    rows = 1e4 * torch.tensor([[1., -1., 0.], [-1., 1., 1.], [0., 0., 0.]])
    student = rows.to(dtype).requires_grad_()
    teacher = rows.flip(0).to(dtype)

    plain = function(student, teacher, 1.0)
    with torch.autocast('cpu', torch.bfloat16):
        inside = function(student, teacher, 1.0)
    grad, = torch.autograd.grad(inside.sum(), student)

    assert plain.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert plain.dtype == inside.dtype
    assert torch.equal(plain, inside)
    assert plain.isfinite().all()
    assert grad.dtype == dtype
    assert grad.isfinite().all()


def test_an_empty_batch_stays_in_the_graph():
    student = torch.empty(0, 5, requires_grad=True)
    teacher = torch.empty(0, 5)

    by_sample = batch_consistency(student, teacher, 1.0)
    by_class = class_consistency(student, teacher, 1.0)
    torch.autograd.grad((by_sample.sum(), by_class.sum()), student)

    assert by_sample.shape == (0, )
    assert torch.equal(by_class, torch.zeros(5))


@pytest.mark.parametrize('function', BOTH)
def test_unlike_logits_are_refused(function):
    with pytest.raises(ValueError, match='the same samples and the same cla'):
        function(logits(3, 4), logits(3, 5), 1.0)
    with pytest.raises(ValueError, match='temperature is 0'):
        function(logits(3, 4), logits(3, 4), 0.0)


def test_sample_confidence_is_the_best_probability():
    values = logits(5, 4)

    expected = [
        max(slow_reference.softmax(row, 1.0)) for row in values.tolist()
    ]

    torch.testing.assert_close(
        sample_confidence(values), torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match='must be'):
        sample_confidence(torch.zeros(3))


def test_class_confidence_sums_over_the_batch():
    values = logits(5, 4)

    rows = [slow_reference.softmax(row, 1.0) for row in values.tolist()]

    torch.testing.assert_close(
        class_confidence(values),
        torch.tensor([sum(c) for c in zip(*rows)], dtype=torch.float64))
    assert torch.equal(class_confidence(torch.empty(0, 3)), torch.zeros(3))
    with pytest.raises(TypeError, match='must be floating'):
        class_confidence(torch.zeros(3, 2, dtype=torch.int64))


@pytest.mark.parametrize('dtype', DTYPES[:2])
def test_half_confidences_are_float32(dtype):
    for function in (sample_confidence, class_confidence):
        with torch.autocast('cpu', torch.bfloat16):
            found = function(logits(4, 3).to(dtype))

        assert found.dtype == torch.float32
        torch.testing.assert_close(
            found, function(logits(4, 3).to(dtype).float()))


@pytest.mark.parametrize('size', [1, 2, 3, 8, 9])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_lower_half_is_numpys_median(size, dtype):
    values = logits(20, size).round(decimals=1).to(dtype)

    for row in values:
        expected = row.numpy() <= np.percentile(row.numpy(), 50)

        assert lower_half(row).dtype == dtype
        assert lower_half(row).bool().tolist() == expected.tolist()


def test_equal_values_are_all_in_the_lower_half():
    assert torch.equal(lower_half(torch.full((4, ), 0.1)), torch.ones(4))


def test_the_lower_half_of_nothing_is_nothing():
    assert lower_half(torch.empty(0)).shape == (0, )
