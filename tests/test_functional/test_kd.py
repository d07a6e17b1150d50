"""The KD divergence: values, gradients, golden files."""
import pytest
import torch

from mmdeepkd.functional import kd_divergence, standardize_logits
from tests import golden, slow_reference


def logits(*shape, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(
        *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_equals_the_slow_loop(temperature):
    student, teacher = logits(6, 9), logits(6, 9, seed=1)

    divergence = kd_divergence(student, teacher, temperature)

    expected = [
        slow_reference.kd(s, t, temperature)
        for s, t in zip(student.tolist(), teacher.tolist())
    ]
    torch.testing.assert_close(
        divergence, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('name', golden.names('kd__*'))
def test_golden(name):
    data = golden.load(name)
    student = data['logits_student'].requires_grad_()
    teacher = data['logits_teacher']
    pair = (student, teacher)
    if data['hp_logit_stand']:
        pair = (standardize_logits(student), standardize_logits(teacher))

    divergence = kd_divergence(*pair, data['hp_temperature'])
    grad, = torch.autograd.grad(divergence.mean(), student)

    golden.check_value(divergence, data, 'loss_per_sample')
    golden.check_value(divergence.mean(), data, 'loss')
    golden.check_grad(grad, data, 'grad_student')
    golden.check_stable(divergence, data, 'stable_loss_per_sample')


def test_gradcheck_student_and_teacher():
    student = logits(3, 5).requires_grad_()
    teacher = logits(3, 5, seed=1).requires_grad_()

    assert torch.autograd.gradcheck(lambda s, t: kd_divergence(s, t, 2.0),
                                    (student, teacher))


def test_equal_logits_give_exactly_zero():
    student = logits(4, 7)

    assert torch.equal(
        kd_divergence(student, student.clone(), 4.0),
        torch.zeros(4, dtype=torch.float64))


def test_a_shift_of_either_changes_nothing():
    student, teacher = logits(4, 7), logits(4, 7, seed=1)

    shifted = kd_divergence(student + 5.0, teacher - 3.0, 2.0)

    torch.testing.assert_close(shifted, kd_divergence(student, teacher, 2.0))


def test_it_is_the_divergence_of_the_teacher_first():
    student = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[-1e4, 0.0]], dtype=torch.float64)

    divergence = kd_divergence(student, teacher, 1.0)

    torch.testing.assert_close(divergence,
                               torch.tensor([2.0], dtype=torch.float64).log())
