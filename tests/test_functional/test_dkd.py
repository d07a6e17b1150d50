"""The decoupled divergences: values, gradients, golden files, masks."""
import pytest
import torch

from mmdeepkd.functional import (
    dkd_divergences,
    kd_divergence,
    standardize_logits,
    topk_keep_mask,
)
from mmdeepkd.functional.dkd import non_target_mass
from tests import golden, slow_reference


def batch(num_rows, num_classes, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (num_rows, num_classes)
    student, teacher = scale * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    keep = torch.rand(shape, generator=generator) < 0.5
    return student, teacher, target, keep


def released_form(student, teacher, target, temperature):
    """Return DKD as the authors write it: log of sums and minus 1000."""
    mask = torch.nn.functional.one_hot(target, student.size(1)).double()
    pairs, rests = [], []
    for logits in (student, teacher):
        probs = (logits / temperature).softmax(1)
        on_target = (probs * mask).sum(1)
        pairs.append(torch.stack((on_target, (probs * (1 - mask)).sum(1)), 1))
        rests.append((logits / temperature - 1000 * mask).softmax(1))
    tckd = (pairs[1] * (pairs[1].log() - pairs[0].log())).sum(1)
    ratio = (rests[1] + mask).log() - (rests[0] + mask).log()
    return tckd * temperature**2, (rests[1] * ratio).sum(1) * temperature**2


@pytest.mark.parametrize('num_classes', [2, 3, 10])
@pytest.mark.parametrize('temperature', [0.5, 4.0])
def test_equals_the_slow_loop(num_classes, temperature):
    student, teacher, target, keep = batch(8, num_classes)
    rows = list(zip(student.tolist(), teacher.tolist(), target.tolist()))

    tckd, nckd = dkd_divergences(student, teacher, target, temperature)
    _, restricted = dkd_divergences(student, teacher, target, temperature,
                                    keep)

    for n, row in enumerate(rows):
        assert tckd[n].item() == pytest.approx(
            slow_reference.tckd(*row, temperature), rel=1e-9, abs=1e-12)
        assert nckd[n].item() == pytest.approx(
            slow_reference.nckd(*row, temperature), rel=1e-9, abs=1e-12)
        assert restricted[n].item() == pytest.approx(
            slow_reference.nckd(*row, temperature, keep[n].tolist()),
            rel=1e-9,
            abs=1e-12)


@pytest.mark.parametrize('name', golden.names('dkd__*'))
def test_golden(name):
    data = golden.load(name)
    student = data['logits_student'].requires_grad_()
    pair = (student, data['logits_teacher'])
    if data['hp_logit_stand']:
        pair = tuple(standardize_logits(logits) for logits in pair)

    parts = dkd_divergences(*pair, data['target'], data['hp_temperature'])

    for key, part in zip(('tckd', 'nckd'), parts):
        grad, = torch.autograd.grad(part.mean(), student, retain_graph=True)
        leaks = 'maskleak' in name and key == 'nckd'
        if golden.is_finite(data[key]) and not leaks:
            golden.check_value(part.mean(), data, key)
            golden.check_grad(grad, data, f'grad_{key}')
        golden.check_stable(part, data, f'stable_{key}_per_sample')
        assert grad.isfinite().all()


def test_the_reference_fails_on_some_golden_files_and_we_do_not():
    # What makes the branch above a branch: both kinds of file exist.
    finite = [
        golden.is_finite(golden.load(name)['tckd'])
        for name in golden.names('dkd__extreme_*')
    ]

    assert any(finite)
    assert not all(finite)


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_both_parts_sum_to_kd(temperature):
    student, teacher, target, _ = batch(32, 20)

    tckd, nckd = dkd_divergences(student, teacher, target, temperature)
    on_target = (teacher / temperature).softmax(1)
    on_target = on_target.gather(1, target[:, None])[:, 0]

    torch.testing.assert_close(
        tckd + (1 - on_target) * nckd,
        kd_divergence(student, teacher, temperature),
        rtol=1e-12,
        atol=1e-12)
    torch.testing.assert_close(
        non_target_mass(teacher, target, temperature),
        1 - on_target,
        rtol=1e-12,
        atol=1e-12)


def test_non_target_mass_survives_a_certain_teacher():
    teacher = torch.tensor([[40.0, 0.0, 0.0]])

    mass = non_target_mass(teacher, torch.tensor([0]), 1.0)

    assert 1 - teacher.softmax(1)[0, 0] == 0
    assert mass.item() == pytest.approx(8.4967e-18, rel=1e-4)


@pytest.mark.parametrize('num_classes', [2, 10, 100])
def test_agrees_with_the_minus_1000_form(num_classes):
    student, teacher, target, _ = batch(16, num_classes)

    ours = dkd_divergences(student, teacher, target, 4.0)
    theirs = released_form(student, teacher, target, 4.0)

    for mine, reference in zip(ours, theirs):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)


def test_gradcheck_student_and_teacher():
    student, teacher, target, keep = batch(4, 5)
    keep[0] = False

    def parts(student, teacher):
        return (*dkd_divergences(student, teacher, target, 2.0),
                *dkd_divergences(student, teacher, target, 2.0, keep))

    assert torch.autograd.gradcheck(
        parts, (student.requires_grad_(), teacher.requires_grad_()))


def test_two_classes_have_no_non_target_part():
    student, teacher, target, _ = batch(8, 2)
    student.requires_grad_()

    tckd, nckd = dkd_divergences(student, teacher, target, 4.0)
    grad, = torch.autograd.grad(nckd.sum(), student)

    assert not nckd.any()
    assert not grad.any()
    torch.testing.assert_close(tckd, kd_divergence(student, teacher, 4.0))


def test_removed_classes_get_no_gradient_and_do_not_matter():
    student, teacher, target, keep = batch(8, 10)
    student.requires_grad_()
    is_target = torch.nn.functional.one_hot(target, 10).bool()
    removed = ~keep | is_target

    _, nckd = dkd_divergences(student, teacher, target, 4.0, keep)
    grad, = torch.autograd.grad(nckd.sum(), student)
    _, elsewhere = dkd_divergences(
        student.detach().masked_fill(removed, 1e4),
        teacher.masked_fill(removed, -1e4), target, 4.0, keep)

    assert not grad[removed].any()
    assert grad[~removed].any()
    assert torch.equal(nckd.detach(), elsewhere)


def test_the_target_column_of_keep_is_ignored():
    student, teacher, target, keep = batch(8, 10)
    column = target[:, None]

    with_target = dkd_divergences(student, teacher, target, 4.0,
                                  keep.scatter(1, column, True))
    without = dkd_divergences(student, teacher, target, 4.0,
                              keep.scatter(1, column, False))

    assert torch.equal(with_target[1], without[1])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_a_row_with_nothing_left_is_exactly_zero(dtype):
    student, teacher, target, _ = batch(3, 6)
    student = (1e4 * student).to(dtype).requires_grad_()
    teacher = (1e4 * teacher).to(dtype).requires_grad_()
    keep = torch.ones(3, 6, dtype=torch.bool)
    keep[1] = False

    _, nckd = dkd_divergences(student, teacher, target, 1.0, keep)
    grads = torch.autograd.grad(nckd.sum(), (student, teacher))

    assert nckd[1] == 0
    assert nckd[0] > 0
    for grad in grads:
        assert grad.isfinite().all()
        assert not grad[1].any()


def test_one_kept_class_is_exactly_zero():
    student, teacher, target, _ = batch(5, 7)
    student.requires_grad_()
    keep = topk_keep_mask(teacher, target, 1)

    _, nckd = dkd_divergences(student, teacher, target, 4.0, keep)
    grad, = torch.autograd.grad(nckd.sum(), student)

    assert not nckd.any()
    assert not grad.any()
