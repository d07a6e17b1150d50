"""DeepKD's terms in few passes, against the same terms out of masks."""
import pytest
import torch

from mmdeepkd.functional import deepkd_divergences, fused_dkd
from tests import slow_reference

EXACT = dict(rtol=1e-12, atol=1e-12)


def batch(num_rows=8, num_classes=10):
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(
        2, num_rows, num_classes, generator=generator, dtype=torch.float64)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    return student.requires_grad_(), teacher, target


def masked(student, teacher, target, temperature, topk):
    """Return the terms of the masks, which a teacher with gradients takes."""
    return deepkd_divergences(student,
                              teacher.clone().requires_grad_(), target,
                              temperature, topk)


def gradient(value, student):
    weights = torch.linspace(-1, 2, len(value)).to(value)
    grad, = torch.autograd.grad((weights * value).sum(),
                                student,
                                retain_graph=True)
    return grad


@pytest.mark.parametrize('temperature', [0.5, 1.0, 3.0])
@pytest.mark.parametrize(('num_classes', 'topk'), [(2, None), (2, 1),
                                                   (10, None), (10, 1),
                                                   (10, 4), (10, 8), (10, 9),
                                                   (10, 30)])
def test_values_and_gradients_are_those_of_the_masks(num_classes, topk,
                                                     temperature):
    student, teacher, target = batch(num_classes=num_classes)

    found = deepkd_divergences(student, teacher, target, temperature, topk)
    expected = masked(student, teacher, target, temperature, topk)

    assert found[0].grad_fn.name() == 'FusedDKDBackward'
    assert expected[0].grad_fn.name() != 'FusedDKDBackward'
    for value, reference in zip(found, expected):
        torch.testing.assert_close(value, reference.detach(), **EXACT)
    for value, reference in zip(found[:2], expected):
        torch.testing.assert_close(
            gradient(value, student), gradient(reference, student), **EXACT)


@pytest.mark.parametrize('topk', [1, 4, 8])
def test_equals_the_slow_loop(topk):
    student, teacher, target = batch()
    order = teacher.scatter(1, target[:, None], -1e9).argsort(
        dim=1, descending=True)
    keep = torch.zeros(8, 10).scatter(1, order[:, :topk], 1.0).tolist()

    tckd, nckd, mass = deepkd_divergences(student, teacher, target, 4.0, topk)

    for n, row in enumerate(
            zip(student.tolist(), teacher.tolist(), target.tolist())):
        assert tckd[n].item() == pytest.approx(
            slow_reference.tckd(*row, 4.0), rel=1e-9)
        assert nckd[n].item() == pytest.approx(
            slow_reference.nckd(*row, 4.0, keep[n]), rel=1e-9, abs=1e-12)
        assert mass[n].item() == pytest.approx(
            1 - slow_reference.softmax(row[1], 4.0)[row[2]], rel=1e-9)


@pytest.mark.parametrize('topk', [None, 3])
def test_gradcheck(topk):
    student, teacher, target = batch(4, 6)

    def terms(student):
        return deepkd_divergences(student, teacher, target, 2.0, topk)[:2]

    assert torch.autograd.gradcheck(terms, (student, ))


@pytest.mark.parametrize('topk', [None, 3])
@pytest.mark.parametrize('num_bytes', [1, 120, 10**9])
def test_blocks_of_any_size_give_the_same(monkeypatch, num_bytes, topk):
    student, teacher, target = batch()
    expected = deepkd_divergences(student, teacher, target, 4.0, topk)

    monkeypatch.setattr(fused_dkd, '_CPU_BLOCK', num_bytes)
    found = deepkd_divergences(student, teacher, target, 4.0, topk)

    for value, reference in zip(found, expected):
        torch.testing.assert_close(value, reference, **EXACT)
    for value, reference in zip(found[:2], expected):
        torch.testing.assert_close(
            gradient(value, student), gradient(reference, student), **EXACT)


@pytest.mark.parametrize('topk', [None, 3])
def test_the_streams_backwards_are_independent(topk):
    student, teacher, target = batch()
    tckd, nckd, _ = deepkd_divergences(student, teacher, target, 4.0, topk)

    apart = [gradient(value, student) for value in (tckd, nckd)]
    again = [gradient(value, student) for value in (tckd, nckd)]

    assert torch.equal(gradient(tckd + nckd, student), sum(apart))
    for first, second in zip(apart, again):
        assert torch.equal(first, second)


@pytest.mark.parametrize('topk', [None, 3])
def test_keeps_one_direction_per_gradient(topk):
    student, teacher, target = batch(64, 20)
    saved = []

    with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: saved.append(tensor) or tensor, lambda x: x):
        deepkd_divergences(student, teacher, target, 4.0, topk)

    sizes = [tuple(tensor.shape) for tensor in saved if tensor.dim() == 2]
    assert sizes == [(64, 20)] + (
        [(64, 20)] if topk is None else [(64, 3)] * 2)


def test_the_logits_may_change_before_the_backward():
    student, teacher, target = batch()
    logits = student * 1
    tckd, nckd, _ = deepkd_divergences(logits, teacher, target, 4.0)
    expected = gradient(tckd + nckd, student)
    logits = student * 1
    tckd, nckd, _ = deepkd_divergences(logits, teacher, target, 4.0)
    with torch.no_grad():
        logits.zero_()

    assert torch.equal(gradient(tckd + nckd, student), expected)


def test_ties_keep_exactly_k():
    student, teacher, target = batch()

    _, nckd, _ = deepkd_divergences(student, torch.zeros_like(teacher), target,
                                    4.0, 4)

    changed = gradient(nckd, student) != 0
    assert changed.sum(1).tolist() == [4] * 8
    assert not changed.gather(1, target[:, None]).any()


def test_kept_classes_far_below_the_others():
    student = torch.tensor([[3.0, 1e4, 0.25, 0.5]], requires_grad=True)
    teacher = torch.tensor([[0.0, -9.0, 2.0, 1.0]])
    target = torch.tensor([0])

    found = deepkd_divergences(student, teacher, target, 1.0, 2)
    expected = masked(student, teacher, target, 1.0, 2)

    for value, reference in zip(found[:2], expected):
        torch.testing.assert_close(value, reference, rtol=1e-6, atol=0)
        torch.testing.assert_close(
            gradient(value, student), gradient(reference, student))


def test_certain_predictions_keep_their_tails():
    # 1 - p rounds to 0 on both sides, in float32.
    student = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[50.0, 0.0, 0.0]])

    tckd, _, mass = deepkd_divergences(student, teacher, torch.tensor([0]),
                                       1.0)
    grad, = torch.autograd.grad(tckd.sum(), student)

    expected = 2 * torch.tensor([-50.0, -60.0], dtype=torch.float64).exp()
    torch.testing.assert_close(mass.double(), expected[:1], rtol=1e-5, atol=0)
    torch.testing.assert_close(
        grad[0, 0].double(), expected[0] - expected[1], rtol=1e-5, atol=0)


@pytest.mark.parametrize('student_dtype', [torch.bfloat16, torch.float32])
@pytest.mark.parametrize('teacher_dtype', [torch.float16, torch.float64])
def test_mixed_and_strided_inputs(student_dtype, teacher_dtype):
    student, teacher, target = batch()
    student = student.detach().t().contiguous().to(student_dtype).t()
    student.requires_grad_()
    teacher = teacher.repeat(1, 2).to(teacher_dtype)[:, :10]

    found = deepkd_divergences(student, teacher, target, 4.0, 3)
    expected = masked(student, teacher, target, 4.0, 3)

    for value, reference in zip(found[:2], expected):
        assert value.dtype == torch.promote_types(torch.float32, teacher_dtype)
        torch.testing.assert_close(
            value.float(), reference.float(), rtol=1e-4, atol=1e-5)
        grad = gradient(value, student)
        assert grad.dtype == student_dtype
        torch.testing.assert_close(
            grad, gradient(reference, student), rtol=2e-2, atol=1e-3)


def test_inputs_stay_as_they_are_and_the_mass_has_no_gradient():
    student, teacher, target = batch()
    before = [tensor.detach().clone() for tensor in (student, teacher, target)]

    tckd, nckd, mass = deepkd_divergences(student, teacher, target, 1.0, 3)
    gradient(tckd + nckd * mass, student)

    assert not mass.requires_grad
    for tensor, copy in zip((student, teacher, target), before):
        assert torch.equal(tensor, copy)


def test_a_teacher_that_requires_a_gradient_gets_it():
    student, teacher, target = batch()
    teacher.requires_grad_()

    _, nckd, mass = deepkd_divergences(student, teacher, target, 1.0, 3)
    grad, = torch.autograd.grad((nckd * mass).sum(), teacher)

    assert grad.any()


def test_a_second_derivative_raises():
    student, teacher, target = batch()
    tckd, _, _ = deepkd_divergences(student, teacher, target, 1.0)
    grad, = torch.autograd.grad((tckd**2).sum(), student, create_graph=True)

    with pytest.raises(RuntimeError, match='differentiate twice'):
        grad.sum().backward()


@pytest.mark.parametrize('topk', [0, -3])
def test_topk_below_one_raises(topk):
    with pytest.raises(ValueError, match=f'topk is {topk} but must be at '):
        deepkd_divergences(*batch(), 4.0, topk)
