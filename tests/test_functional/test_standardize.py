"""Logit standardisation."""
import pytest
import torch

from mmdeepkd.functional import standardize_logits
from tests import golden, slow_reference


def logits(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('eps', [1e-7, 0.5])
def test_equals_the_slow_loop(eps):
    values = logits(5, 8)

    expected = [slow_reference.standardize(r, eps) for r in values.tolist()]

    torch.testing.assert_close(
        standardize_logits(values, eps),
        torch.tensor(expected, dtype=torch.float64))


def test_golden_statistics():
    data = golden.load('lskd__basic')
    values = data['logits_student']

    recovered = (
        standardize_logits(values) *
        (values.std(dim=1, keepdim=True) + 1e-7) +
        values.mean(dim=1, keepdim=True))

    golden.check_value(values.mean(1).mean(), data, 'mean_student')
    golden.check_value(values.std(1).mean(), data, 'std_student')
    torch.testing.assert_close(recovered, values)


def test_gradient_flows_through_both_statistics():
    values = logits(3, 5).requires_grad_()

    standardized = standardize_logits(values)
    grad, = torch.autograd.grad((standardized * logits(3, 5, seed=1)).sum(),
                                values)

    # Neither a shift nor a stretch of the input changes the output.
    torch.testing.assert_close(
        grad.sum(1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close((grad * values).sum(1),
                               torch.zeros(3, dtype=torch.float64),
                               rtol=0, atol=1e-6)
    assert torch.autograd.gradcheck(standardize_logits, (values, ))


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize('level', [0.0, 0.1, -1e4])
def test_a_constant_row_is_zero_without_gradient(dtype, level):
    values = logits(2, 6).to(dtype)
    values[0] = level
    values.requires_grad_()

    standardized = standardize_logits(values)
    weights = torch.arange(6, dtype=standardized.dtype)
    grad, = torch.autograd.grad((standardized * weights).sum(), values)

    assert not standardized[0].any()
    assert not grad[0].any()
    assert grad[1].isfinite().all()
    assert grad[1].any()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_a_row_of_rounding_noise_is_constant(dtype):
    noise = torch.finfo(dtype).eps / 4 * logits(3, 100)
    values = (0.3 + noise).to(dtype).requires_grad_()
    assert len(values[0].unique()) > 1

    standardized = standardize_logits(values)
    weights = logits(3, 100, seed=1).to(dtype)
    grad, = torch.autograd.grad((standardized * weights).sum(), values)

    assert not standardized.any()
    assert not grad.any()


def test_a_row_of_small_spread_is_not_constant():
    # 40 times the rounding of float32, which is then a fortieth of it.
    values = 0.3 + 1e-6 * logits(3, 100)

    torch.testing.assert_close(
        standardize_logits(values.float(), 1e-12).double(),
        standardize_logits(values, 1e-12), rtol=0, atol=0.05)


def test_empty():
    assert standardize_logits(torch.empty(0, 5)).shape == (0, 5)


@pytest.mark.parametrize('eps', [0.0, -1e-7, float('nan')])
def test_eps_must_be_positive(eps):
    with pytest.raises(ValueError, match='eps is .* must be positive'):
        standardize_logits(logits(2, 3), eps)
