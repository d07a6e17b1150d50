"""DIST: correlations within samples and within classes."""
import pytest
import torch

from mmdeepkd.functional import dist_distances
from tests import golden, slow_reference

EPS = 1e-8


def batch(num_rows, num_classes, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (num_rows, num_classes)
    return scale * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64)


def probabilities(logits, temperature):
    return [slow_reference.softmax(z, temperature) for z in logits.tolist()]


def distances(ones, others, temperature, weight):
    """Return T^2 (1 - correlation) of pairs of lists."""
    return [
        temperature**2 *
        (1 - slow_reference.correlation(x, y, weight, EPS))
        for x, y in zip(ones, others)
    ]


@pytest.mark.parametrize('shape', [(2, 2), (6, 3), (5, 12)])
@pytest.mark.parametrize('temperature', [0.5, 4.0])
def test_equals_the_slow_loop(shape, temperature):
    student, teacher = batch(*shape)
    s, t = (probabilities(z, temperature) for z in (student, teacher))

    inter, intra = dist_distances(student, teacher, temperature)

    rows = distances(s, t, temperature, [1.0] * shape[1])
    columns = distances(zip(*s), zip(*t), temperature, [1.0] * shape[0])
    assert inter.tolist() == pytest.approx(rows, rel=1e-9, abs=1e-12)
    assert intra.tolist() == pytest.approx(columns, rel=1e-9, abs=1e-12)


def test_weights_enter_the_statistics_of_the_batch_only():
    student, teacher = batch(6, 5)
    weight = [0.5, 2.0, 1.0, 0.25, 1.5, 0.75]
    s, t = (probabilities(z, 2.0) for z in (student, teacher))

    inter, intra = dist_distances(student, teacher, 2.0, torch.tensor(weight))

    columns = distances(zip(*s), zip(*t), 2.0, weight)
    assert intra.tolist() == pytest.approx(columns, rel=1e-9)
    assert torch.equal(inter, dist_distances(student, teacher, 2.0)[0])


@pytest.mark.parametrize('scale', [1e-3, 1.0, 1e3])
def test_only_the_ratios_of_the_weights_matter(scale):
    student, teacher = batch(6, 5)
    weight = torch.linspace(0.0, 2.0, 6, dtype=torch.float64)

    _, intra = dist_distances(student, teacher, 2.0, scale * weight)
    _, present = dist_distances(student[1:], teacher[1:], 2.0, weight[1:])
    _, equal = dist_distances(student, teacher, 2.0, torch.full((6, ), scale))

    exact = dict(rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(intra, present, **exact)
    torch.testing.assert_close(
        equal, dist_distances(student, teacher, 2.0)[1], **exact)


@pytest.mark.parametrize('name', golden.names('dist__*'))
def test_golden(name):
    data = golden.load(name)

    inter, intra = dist_distances(data['logits_student'],
                                  data['logits_teacher'],
                                  data['hp_temperature'])

    golden.check_value(inter.mean(), data, 'inter')
    golden.check_value(intra.mean(), data, 'intra')


def test_gradcheck_student_and_teacher():
    student, teacher = (z.requires_grad_() for z in batch(4, 5))
    weight = torch.tensor([1.0, 0.0, 0.5, 2.0])

    def parts(student, teacher):
        return (*dist_distances(student, teacher, 2.0),
                *dist_distances(student, teacher, 2.0, weight))

    assert torch.autograd.gradcheck(parts, (student, teacher))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('num_classes', [3, 5, 7, 100])
@pytest.mark.parametrize('level', [0.0, 0.1, -1e4])
def test_a_constant_row_correlates_with_nothing(dtype, num_classes, level):
    student, teacher = batch(4, num_classes).to(dtype)
    student[0] = level
    student.requires_grad_()

    inter, _ = dist_distances(student, teacher, 2.0)
    grad, = torch.autograd.grad(inter.sum(), student)

    assert inter[0] == 4
    assert not grad[0].any()
    assert grad[1:].any()
    assert grad.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('num_rows', [1, 3, 7])
@pytest.mark.parametrize('weighted', [False, True])
def test_equal_samples_correlate_with_nothing(dtype, num_rows, weighted):
    # What a head with zero weights gives at the start of a training.
    student, teacher = batch(num_rows, 6).to(dtype)
    student[:] = student[0]
    student.requires_grad_()
    weight = torch.rand(num_rows) if weighted else None

    inter, intra = dist_distances(student, teacher, 2.0, weight)
    grad, = torch.autograd.grad(intra.sum(), student, retain_graph=True)

    assert intra.tolist() == [4.0] * 6
    assert not grad.any()
    assert torch.autograd.grad(inter.sum(), student)[0].any()


def test_no_sample_and_no_weight():
    student = torch.empty(0, 5, requires_grad=True)

    inter, intra = dist_distances(student, torch.empty(0, 5), 2.0)
    _, unweighted = dist_distances(*batch(4, 5), 2.0, torch.zeros(4))

    assert inter.shape == (0, )
    assert intra.tolist() == [4.0] * 5
    assert torch.autograd.grad(intra.sum(), student)[0].shape == (0, 5)
    assert unweighted.tolist() == [4.0] * 5


def test_shift_and_stretch_of_the_probabilities_do_not_matter():
    student, teacher = batch(4, 5)
    half = (0.5 * teacher.softmax(1) + 0.1).log()

    inter, intra = dist_distances(half, teacher, 1.0)

    # The 1e-8 in the denominator counts where a class hardly varies.
    assert inter.abs().max() < 1e-5
    assert intra.abs().max() < 1e-5
    assert dist_distances(student, teacher, 1.0)[0].min() > 1e-3


@pytest.mark.parametrize('shape', [(3, 1), (2, ), ()])
def test_one_weight_per_sample(shape):
    logits = torch.zeros(3, 5)

    with pytest.raises(ValueError, match=r'weight has shape .* be \(3,\)'):
        dist_distances(logits, logits, 4.0, torch.ones(shape))
