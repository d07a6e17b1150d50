"""What every loss module owes: reduction, streams, dtypes, empty batches."""
import pytest
import torch

from mmdeepkd.functional import dkd_divergences, kd_divergence
from mmdeepkd.losses import (
    DeepKDLoss,
    DISTLoss,
    DKDLoss,
    DKDModLoss,
    ForegroundLoss,
    GDKD3Loss,
    GDKDAutoWLoss,
    GDKDLoss,
    GDKDSLoss,
    KDLoss,
    LSGDKDLoss,
)
from mmdeepkd.registry import MODELS

EPS = torch.finfo(torch.float32).eps
# Mean over samples, weighted or not.
PER_SAMPLE = [
    KDLoss(),
    KDLoss(standardize=True),
    DKDLoss(),
    DeepKDLoss(topk=2),
    DeepKDLoss(base='dkd'),
    DKDModLoss(split='top1', kl_type='both'),
    GDKDLoss(k=2),
    GDKDLoss(k=3, kl_type='reverse', strategy='worst', standardize=True),
    GDKD3Loss(k=3),
    LSGDKDLoss(k=2),
    LSGDKDLoss(k=2, norm_mode='both'),
    GDKDAutoWLoss(k=2),
]
# Linear in the samples only without weights.
LINEAR = PER_SAMPLE + [
    DeepKDLoss(base='dkd', topk=1, semantics='released', standardize=True),
]
# With a statistic of the batch, or averaged over a part of it.
LOSSES = LINEAR + [
    DeepKDLoss(topk=2, semantics='released'),
    DISTLoss(temperature=1.0),
    ForegroundLoss(dict(type='mmdeepkd.DKDLoss')),
    ForegroundLoss(dict(type='mmdeepkd.DISTLoss', temperature=1.0)),
    GDKDSLoss(),
    GDKDSLoss(background='teacher', temperature=4.0),
    GDKDSLoss(background='teacher', split='top1'),
]


def batch(num_rows=6, num_classes=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shape = (num_rows, num_classes)
    student, teacher = 3 * torch.randn(2, *shape, generator=generator)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    return student.to(dtype).requires_grad_(), teacher.to(dtype), target


def weights(num_rows=6):
    return torch.linspace(0.0, 2.0, num_rows, dtype=torch.float64)


@pytest.mark.parametrize('loss', LOSSES)
def test_the_streams_are_the_declared_ones(loss):
    losses = loss(*batch())

    assert tuple(losses) == loss.streams
    assert 'task' not in losses
    assert all(value.shape == () for value in losses.values())


@pytest.mark.parametrize('loss', LINEAR)
def test_no_weight_is_the_mean_over_samples(loss):
    student, teacher, target = batch()

    losses = loss(student, teacher, target)
    singles = [
        loss(student[n:n + 1], teacher[n:n + 1], target[n:n + 1])
        for n in range(6)
    ]

    for stream, value in losses.items():
        torch.testing.assert_close(value,
                                   sum(one[stream] for one in singles) / 6)


@pytest.mark.parametrize('loss', PER_SAMPLE)
@pytest.mark.parametrize('factor', [
    4.0, 4,
    torch.tensor(4.0),
    torch.tensor(4),
    torch.tensor(4.0, dtype=torch.float64)
])
def test_weight_and_average_factor(loss, factor):
    student, teacher, target = batch()
    singles = [
        loss(student[n:n + 1], teacher[n:n + 1], target[n:n + 1])
        for n in range(6)
    ]

    weighted = loss(student, teacher, target, weight=weights())
    averaged = loss(student, teacher, target, weights(), factor)
    unweighted = loss(student, teacher, target, avg_factor=factor)

    for stream in loss.streams:
        values = torch.stack([one[stream] for one in singles])
        total = (weights() * values).sum()
        torch.testing.assert_close(weighted[stream], total / 6)
        torch.testing.assert_close(
            averaged[stream], total / (4 + EPS), rtol=1e-12, atol=0)
        torch.testing.assert_close(unweighted[stream],
                                   values.sum() / (4 + EPS))


@pytest.mark.parametrize('loss', LOSSES)
def test_scale_of_weight_and_average_factor(loss):
    student, teacher, target = batch()

    once = loss(student, teacher, target, weights(), 3.0 - EPS)
    scaled = loss(student, teacher, target, 5 * weights(), 6.0 - EPS)

    for stream in loss.streams:
        torch.testing.assert_close(scaled[stream], 2.5 * once[stream])


@pytest.mark.parametrize('loss', LOSSES)
def test_a_sample_of_weight_zero_does_not_matter(loss):
    student, teacher, target = batch()
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 2.0])
    used = weight > 0

    whole = loss(student, teacher, target, weight, 4.0)
    part = loss(student[used], teacher[used], target[used], weight[used], 4.0)
    nothing = loss(student, teacher, target, torch.zeros(6), 4.0)

    for stream in loss.streams:
        torch.testing.assert_close(whole[stream], part[stream])
        assert nothing[stream] == 0


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kwargs', [
    {},
    dict(avg_factor=0.0),
    dict(weight=torch.empty(0), avg_factor=torch.tensor(1.0)),
    dict(weight=torch.empty(0)),
])
def test_an_empty_batch_is_zero_and_in_the_graph(loss, kwargs):
    layer = torch.nn.Linear(3, 5)
    student = layer(torch.empty(0, 3))

    losses = loss(student, torch.empty(0, 5),
                  torch.empty(0, dtype=torch.int64), **kwargs)

    for value in losses.values():
        grads = torch.autograd.grad(
            value, layer.parameters(), retain_graph=True)
        assert value == 0
        assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize('loss', LOSSES)
def test_equal_logits_give_zero(loss):
    student, _, target = batch(dtype=torch.float32)
    # DIST adds 1e-8 to its denominators, and so is not exactly 0.
    bound = 1e-4 if loss.method == 'dist' else 1e-6

    for value in loss(student, student.detach().clone(), target).values():
        assert value.abs() < bound


@pytest.mark.parametrize('loss', LOSSES)
def test_the_teacher_is_detached(loss):
    student, teacher, target = batch()
    teacher.requires_grad_()

    total = sum(loss(student, teacher, target).values())
    grad_student, grad_teacher = torch.autograd.grad(
        total, (student, teacher), allow_unused=True)

    assert grad_student.any()
    assert grad_teacher is None


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_logits_give_float32_inside_autocast_too(loss, dtype):
    student, teacher, target = batch(dtype=dtype)
    weight = torch.linspace(0.5, 1, 6).to(dtype)

    plain = loss(student, teacher, target, weight, torch.tensor(3.0))
    with torch.autocast('cpu', torch.bfloat16):
        inside = loss(student, teacher, target, weight, torch.tensor(3.0))

    for stream, value in inside.items():
        grad, = torch.autograd.grad(value, student, retain_graph=True)
        assert value.dtype == torch.float32
        assert torch.equal(value, plain[stream])
        assert grad.dtype == dtype
        assert grad.isfinite().all()


def test_the_loss_has_the_dtype_of_the_logits():
    student, teacher, target = batch(dtype=torch.float32)
    factor = torch.tensor(3.0, dtype=torch.float64)

    losses = KDLoss()(student, teacher, target, weights(), factor)

    assert losses['distill'].dtype == torch.float32


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_at_ten_thousand(loss, dtype):
    signs = torch.tensor([[1, -1, 1, 0, -1], [-1, -1, -1, -1, 1],
                          [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    student = (1e4 * signs[pairs[:, 0]]).to(dtype).requires_grad_()
    teacher = (1e4 * signs[pairs[:, 1]]).to(dtype)

    losses = loss(student, teacher, torch.arange(16) % 5)

    for value in losses.values():
        grad, = torch.autograd.grad(value, student, retain_graph=True)
        assert value.isfinite()
        assert grad.isfinite().all()


@pytest.mark.parametrize('loss', LOSSES)
def test_warmup_scales_every_term(loss):
    full = loss(*batch())

    loss.warmup_factor = 0.25
    try:
        quarter = loss(*batch())
    finally:
        loss.warmup_factor = 1.0

    for stream in loss.streams:
        assert full[stream] != 0
        torch.testing.assert_close(quarter[stream], full[stream] / 4)


def test_the_modules_return_the_functional_values():
    student, teacher, target = batch()

    kd = KDLoss(temperature=2.0, loss_weight=3.0)(student, teacher, target)
    dkd = DKDLoss(0.5, 2.0, 3.0)(student, teacher, target)
    tckd, nckd = dkd_divergences(student, teacher, target, 3.0)

    torch.testing.assert_close(
        kd['distill'], 3 * kd_divergence(student, teacher, 2.0).mean())
    torch.testing.assert_close(dkd['target'], 0.5 * tckd.mean())
    torch.testing.assert_close(dkd['non_target'], 2 * nckd.mean())


@pytest.mark.parametrize('loss', LOSSES)
def test_nothing_is_saved_in_checkpoints(loss):
    assert not loss.state_dict()
    assert not list(loss.parameters())


METHODS = {
    KDLoss: 'kd',
    DKDLoss: 'dkd',
    DeepKDLoss: 'deepkd',
    DISTLoss: 'dist',
    DKDModLoss: 'dkdmod',
    GDKDLoss: 'gdkd',
    GDKD3Loss: 'gdkd3',
    LSGDKDLoss: 'lsgdkd',
    GDKDAutoWLoss: 'gdkdautow',
    GDKDSLoss: 'gdkds',
}


@pytest.mark.parametrize('loss', [*METHODS, ForegroundLoss])
def test_registered_under_the_class_names(loss):
    assert MODELS.module_dict[loss.__name__] is loss


@pytest.mark.parametrize('loss', METHODS)
def test_methods_name_the_log_entries(loss):
    assert loss.method == METHODS[loss]


@pytest.mark.parametrize('shape', [(5, ), (6, 1), ()])
def test_weight_needs_one_entry_per_sample(shape):
    with pytest.raises(ValueError, match=r'weight has shape .* be \(6,\)'):
        KDLoss()(*batch(), weight=torch.ones(shape))


def test_average_factor_must_be_a_scalar():
    with pytest.raises(ValueError, match=r'avg_factor has shape \(1,\)'):
        KDLoss()(*batch(), avg_factor=torch.ones(1))
