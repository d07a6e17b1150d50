"""Extreme logits, half precision, autocast, empty batches, light imports."""
import subprocess
import sys

import pytest
import torch

from mmdeepkd.functional import (
    deepkd_divergences,
    dist_distances,
    dkd_divergences,
    gdkd3_divergences,
    gdkd_divergences,
    kd_divergence,
    ls_gdkd_divergences,
    standardize_logits,
    top_group_masses,
    topk_keep_mask,
)
from mmdeepkd.functional.inputs import without_autocast
from tests.helpers.float16 import AUTOCAST

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
HALVES = [torch.float16, torch.bfloat16]


def extreme_batch(num_classes, level=1e4):
    """Return rows of student and teacher that (dis)agree at +-level."""
    low = torch.full((num_classes, ), -level)
    first, last = low.clone(), low.clone()
    first[0], last[-1] = level, level
    ramp = torch.linspace(-level, level, num_classes)
    zero = torch.zeros(num_classes)
    rows = [first, last, ramp, -ramp, zero, low, -low]
    pairs = [(s, t) for s in rows for t in rows for _ in range(2)]
    target = torch.tensor([0, num_classes - 1]).repeat(len(rows)**2)
    student, teacher = (torch.stack(side) for side in zip(*pairs))
    return student, teacher, target


def divergences(student, teacher, target, temperature, k):
    """Return every divergence of the package, one list of (N,) or (C,)."""
    nothing = torch.zeros_like(student, dtype=torch.bool)
    best = topk_keep_mask(teacher, target, k)
    found = [kd_divergence(student, teacher, temperature)]
    for keep in (None, best, nothing):
        found += dkd_divergences(student, teacher, target, temperature, keep)
    pair = student, teacher
    found += gdkd3_divergences(*pair, temperature, k)
    for kl_type in ('forward', 'reverse', 'both'):
        found += gdkd_divergences(*pair, temperature, k, kl_type)
    for inside in ('both', 'other'):
        found += ls_gdkd_divergences(*pair, temperature, k, inside)
    found += dist_distances(*pair, temperature)
    standardized = (standardize_logits(student), standardize_logits(teacher))
    found += dkd_divergences(*standardized, target, temperature, best)
    for topk in (None, k):
        found += deepkd_divergences(*pair, target, temperature, topk)[:2]
    return found


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
@pytest.mark.parametrize(('num_classes', 'k'), [(2, 1), (3, 1), (9, 1),
                                                (9, 4), (9, 8)])
def test_finite_at_ten_thousand(dtype, temperature, num_classes, k):
    student, teacher, target = extreme_batch(num_classes)
    student = student.to(dtype).requires_grad_()

    masses = top_group_masses(teacher.to(dtype), temperature, k)
    torch.testing.assert_close(sum(masses), torch.ones_like(masses[0]))
    for value in divergences(student, teacher.to(dtype), target, temperature,
                             k):
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        assert value.isfinite().all()
        assert value.min() > -1e-4
        assert grad.dtype == dtype
        assert grad.isfinite().all()


@pytest.mark.parametrize('dtype', HALVES)
@pytest.mark.parametrize(('num_classes', 'k'), [(2, 1), (9, 4)])
def test_finite_at_the_end_of_float16_under_autocast(dtype, num_classes, k):
    student, teacher, target = extreme_batch(num_classes, level=6e4)
    student = student.to(dtype).requires_grad_()

    with torch.autocast('cpu', AUTOCAST):
        values = divergences(student, teacher.to(dtype), target, 1.0, k)

    for value in values:
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert grad.isfinite().all()


@pytest.mark.parametrize('dtype', DTYPES[1:])
def test_finite_near_the_end_of_the_range(dtype):
    student, teacher, target = extreme_batch(9, level=1e36)
    student = student.to(dtype).requires_grad_()
    teacher = teacher.to(dtype)
    keep = topk_keep_mask(teacher, target, 4)

    parts = [
        kd_divergence(student, teacher, 1.0),
        *dkd_divergences(student, teacher, target, 1.0, keep),
        *deepkd_divergences(student, teacher, target, 1.0)[:2],
        *deepkd_divergences(student, teacher, target, 1.0, 4)[:2],
        *gdkd_divergences(student, teacher, 1.0, 4),
        *gdkd3_divergences(student, teacher, 1.0, 4),
        *dist_distances(student, teacher, 1.0),
    ]

    for value in parts:
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        assert value.isfinite().all()
        assert grad.isfinite().all()


def test_no_nan_inside_the_backward_pass():
    student, teacher, target = extreme_batch(9)
    student.requires_grad_()

    with torch.autograd.set_detect_anomaly(True):
        for value in divergences(student, teacher, target, 1.0, 1):
            torch.autograd.grad(value.sum(), student, retain_graph=True)


@pytest.mark.parametrize('dtype', DTYPES)
def test_extreme_values_are_right(dtype):
    student = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype)
    teacher = torch.tensor([[-1e4, 1e4, 0.0]], dtype=dtype)
    exact = dict(rtol=1e-6, atol=0)

    tckd, nckd = dkd_divergences(student, teacher, torch.tensor([1]), 1.0)
    swapped = dkd_divergences(student, teacher, torch.tensor([0]), 1.0)

    # As fp16 and bf16 hold it: 1e4 is 9984 in bfloat16.
    level = student[0, 0].item()
    torch.testing.assert_close(tckd.item(), 2 * level, **exact)
    torch.testing.assert_close(nckd.item(), level, **exact)
    torch.testing.assert_close(swapped[0].item(), level, **exact)
    torch.testing.assert_close(swapped[1].item(), level, **exact)


@pytest.mark.parametrize('dtype', HALVES)
def test_half_equals_float32_of_the_same_numbers(dtype):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 8, generator=generator).to(dtype)
    target = torch.arange(6)

    halves = divergences(student, teacher, target, 4.0, 3)
    floats = divergences(student.float(), teacher.float(), target, 4.0, 3)

    for half, reference in zip(halves, floats):
        assert half.dtype == torch.float32
        assert torch.equal(half, reference)


@pytest.mark.parametrize('dtype', DTYPES)
def test_autocast_changes_nothing(dtype):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 8, generator=generator).to(dtype)
    student.requires_grad_()
    target = torch.arange(6)

    expected = divergences(student, teacher, target, 4.0, 3)
    with torch.autocast('cpu', torch.bfloat16):
        found = divergences(student, teacher, target, 4.0, 3)

    for value, reference in zip(found, expected):
        assert value.dtype == (
            torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.equal(value, reference)
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        assert grad.dtype == dtype


def test_autocast_is_off_inside_only():
    ones = torch.ones(2, 2)

    with torch.autocast('cpu', torch.bfloat16):
        with without_autocast(ones):
            inside = ones @ ones
        after = ones @ ones

    assert inside.dtype == torch.float32
    assert after.dtype == torch.bfloat16


def test_a_half_student_meets_a_float32_teacher():
    student = torch.randn(4, 5).bfloat16().requires_grad_()
    teacher = torch.randn(4, 5)
    target = torch.arange(4)

    for value in divergences(student, teacher, target, 4.0, 2):
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        assert value.dtype == torch.float32
        assert grad.dtype == torch.bfloat16


@pytest.mark.parametrize('dtype', DTYPES)
def test_an_empty_batch_gives_empty(dtype):
    student = torch.empty(0, 5, dtype=dtype, requires_grad=True)
    target = torch.empty(0, dtype=torch.int64)

    for value in divergences(student, student.detach(), target, 4.0, 2):
        grad, = torch.autograd.grad(value.sum(), student, retain_graph=True)
        # Statistics of the batch, as in DIST, remain one per class.
        assert value.shape in ((0, ), (5, ))
        assert grad.shape == (0, 5)


def test_the_inputs_are_not_detached_nor_changed():
    student = torch.randn(4, 5, requires_grad=True)
    teacher = torch.randn(4, 5, requires_grad=True)
    before = [student.detach().clone(), teacher.detach().clone()]
    keep = torch.rand(4, 5) < 0.5
    keep_before = keep.clone()

    tckd, nckd = dkd_divergences(student, teacher, torch.arange(4), 4.0, keep)
    grads = torch.autograd.grad((tckd + nckd).sum(), (student, teacher))

    assert all(grad.any() for grad in grads)
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])
    assert torch.equal(keep, keep_before)


def test_the_room_imports_only_torch():
    code = ('import sys, mmdeepkd.functional; '
            'print([m for m in sys.modules if m.split(".")[0] in '
            '("mmengine", "mmcv", "mmdet", "mmpretrain")])')

    result = subprocess.run([sys.executable, '-c', code],
                            stdout=subprocess.PIPE,
                            check=True,
                            text=True)

    assert result.stdout.strip() == '[]'
