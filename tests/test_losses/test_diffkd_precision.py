"""DiffKD in half precision: inside autocast, or cast as a whole."""
import copy

import pytest
import torch
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from mmdeepkd.functional import alphas_cumprod, ddim_step
from mmdeepkd.functional.inputs import autocast_dtype, upcast, wide
from mmdeepkd.losses.diffkd.precision import fit
from tests.helpers.diffkd import cases

KINDS = ['maps', 'logits']
HALF = torch.bfloat16


class Casts(TorchDispatchMode):
    """Counts casts."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            self.number += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('kind', KINDS)
def test_under_autocast_only_the_networks_are_bfloat16(kind):
    loss, adapter, student, teacher = cases()[kind]
    plain = loss.compare(copy.deepcopy(adapter), student, teacher, 'here')

    with torch.autocast('cpu', torch.bfloat16):
        output = loss.compare(copy.deepcopy(adapter), student.bfloat16(),
                              teacher.bfloat16(), 'here')
        losses = loss.terms(output)

    for name, value in output._asdict().items():
        if value is not None:
            assert value.dtype == torch.float32, name
    for name in ('raw', 'noisy', 'gamma', 'target'):
        torch.testing.assert_close(
            getattr(output, name), getattr(plain, name), rtol=0.1, atol=0.1)
    assert all(value.dtype == torch.float32 for value in losses.values())
    sum(losses.values()).backward()
    assert student.grad.dtype == torch.float32 and student.grad.any()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
def test_a_teacher_of_another_precision(dtype):
    loss, adapter, student, teacher = cases()['maps']

    output = loss.compare(adapter, student, teacher.to(dtype), 'map')

    assert output.target.dtype == torch.float32


@pytest.mark.parametrize('kind', KINDS)
def test_finite_at_the_end_of_float16_under_bfloat16_autocast(kind):
    loss, adapter, student, teacher = cases()[kind]
    student = (6e4 * student.detach().sign()).half().requires_grad_()
    teacher = (6e4 * teacher.sign()).half()

    with torch.autocast('cpu', torch.bfloat16):
        losses = loss(adapter, student, teacher, place='here').losses

    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(value.grad.isfinite().all()
               for value in (student, *adapter.parameters()))


@pytest.mark.parametrize('kind', KINDS)
def test_inside_autocast_constants_are_cast_once(kind):
    counts = []
    for semantics in ('paper', 'released'):
        loss, adapter, student, teacher = cases(semantics=semantics)[kind]
        with torch.autocast('cpu', HALF), Casts() as casts:
            loss.compare(adapter, student, teacher, 'here')
        counts.append(casts.number)
    constants = [name for name, _ in adapter.denoiser.named_parameters()
                 if isinstance(adapter.denoiser.get_submodule(
                     name.rpartition('.')[0]), torch.nn.Conv2d)]

    # What is trained is cast once by autocast itself, in all steps together.
    assert len(constants) >= 8
    assert counts[0] - counts[1] == len(constants)


@pytest.mark.parametrize('kind', KINDS)
def test_cast_once_or_in_every_step_is_the_same(kind):
    loss, adapter, student, teacher = cases()[kind]
    reference = copy.deepcopy(adapter)
    with torch.autocast('cpu', HALF):
        output = loss.compare(adapter, student, teacher, 'here')
        sample = output.noisy.detach().requires_grad_()
        constants = {name: value.detach() for name, value in
                     reference.denoiser.named_parameters()}
        expected = sample
        for i, step in enumerate(reference.timesteps):
            noise = functional_call(reference.denoiser, constants,
                                    (expected, step))
            expected = ddim_step(expected, noise, *reference.levels[i:i + 2])
    gradient, = torch.autograd.grad(output.denoised.sum(), output.noisy)
    wanted, = torch.autograd.grad(expected.sum(), sample)

    assert torch.equal(output.denoised, expected)
    assert torch.equal(gradient, wanted)


@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_model_cast_as_a_whole(kind, semantics):
    loss, adapter, student, teacher = cases(semantics=semantics)[kind]
    plain = loss.compare(copy.deepcopy(adapter), student, teacher, 'here')
    adapter.bfloat16()
    student = student.detach().bfloat16().requires_grad_()
    output = loss.compare(adapter, student, teacher.bfloat16(), 'here')
    losses = loss.terms(output)
    sum(losses.values()).backward()

    for name, value in output._asdict().items():
        assert value is None or value.dtype == torch.float32, name
    for name in ('raw', 'noisy', 'gamma', 'target'):
        torch.testing.assert_close(
            getattr(output, name), getattr(plain, name), rtol=0.1, atol=0.1)
    assert student.grad.dtype == HALF and student.grad.any()
    assert {p.grad.dtype for p in adapter.parameters()} == {HALF}


def test_maps_of_other_sizes_in_a_model_cast_as_a_whole():
    """What is resized is float32, as the teacher's."""
    loss, adapter, student, teacher = cases()['maps']
    loss.align = 'teacher'
    output = loss.compare(adapter.bfloat16(), student.bfloat16(),
                          teacher[..., :3, :2], 'here')

    assert output.refined.shape[2:] == (3, 2)
    assert output.refined.dtype == torch.float32


def test_the_noise_levels_stay_float32():
    """In bfloat16 those of the first 19 time steps would be 1."""
    _, adapter, *_ = cases()['maps']

    for cast in (adapter.bfloat16, adapter.half, adapter.double):
        assert torch.equal(cast().alphas_cumprod, alphas_cumprod())
    assert 'alphas_cumprod' not in adapter.state_dict()


@pytest.mark.parametrize('dtype', [
    torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_of_an_upcast(dtype):
    assert wide(dtype) == upcast(torch.zeros(1, dtype=dtype)).dtype


def test_what_autocast_casts_to():
    device = torch.device('cpu')

    assert autocast_dtype(device) is None
    with torch.autocast('cpu', HALF):
        assert autocast_dtype(device) == HALF
        with torch.autocast('cpu', enabled=False):
            assert autocast_dtype(device) is None


def test_only_half_weights_outside_of_autocast_need_a_cast():
    feature = torch.zeros(1)

    assert fit(feature, feature.bfloat16()).dtype == HALF
    assert fit(feature, feature.double()) is feature
    with torch.autocast('cpu', HALF):
        assert fit(feature, feature.bfloat16()) is feature


@pytest.mark.parametrize('kind', KINDS)
def test_autocast_leaves_double_precision_alone(kind):
    loss, adapter, student, teacher = cases()[kind]
    adapter.double()
    features = student.detach().double(), teacher.double(), 'here'
    expected = loss.compare(copy.deepcopy(adapter), *features)
    with torch.autocast('cpu', HALF):
        found = loss.compare(adapter, *features)

    assert found.refined.dtype == torch.float64
    assert torch.equal(found.refined, expected.refined)
