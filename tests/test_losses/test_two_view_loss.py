"""What MLKD and CRLD owe: reduction, streams, dtypes, empty batches."""
import pytest
import torch

from mmdeepkd.losses import CRLDLoss, MLKDLoss
from mmdeepkd.registry import MODELS
from tests.helpers.two_views import batch, gradients, part

EPS = torch.finfo(torch.float32).eps
KINDS = [MLKDLoss, CRLDLoss]
BASES = [
    dict(),
    dict(standardize=True),
    dict(semantics='released'),
    dict(base='kd', topk=2),
    dict(base='dkd', alpha=0.5, beta=3.0),
    dict(base='kd', semantics='released'),
    dict(base='dkd', topk=1, semantics='released', standardize=True),
]
# Thresholds that half of the small batches' samples pass.
TAUS = dict(tau_weak=0.8, tau_strong=0.7)
LOSSES = [MLKDLoss(temperatures=(4.0, 2.0), **kwargs) for kwargs in BASES]
LOSSES += [CRLDLoss(**TAUS, **kwargs) for kwargs in BASES]


def weights(num_rows=6):
    return torch.linspace(0.0, 2.0, num_rows, dtype=torch.float64)


@pytest.mark.parametrize('loss', LOSSES)
def test_the_streams_are_the_declared_ones(loss):
    losses = loss(*batch())

    assert tuple(losses) == loss.streams
    assert all(value.shape == () for value in losses.values())
    assert all(value > 0 for value in losses.values())
    assert loss.views == 2
    assert loss.uses_target == (loss.base is not None)


@pytest.mark.parametrize('loss', LOSSES)
def test_a_sample_of_weight_zero_does_not_matter(loss):
    student, teacher, target = batch()
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 2.0])
    used = weight > 0

    whole = loss(student, teacher, target, weight, 4.0)
    rest = loss(
        part(student, used), part(teacher, used), target[used], weight[used],
        4.0)
    mean = loss(student, teacher, target, weight)
    nothing = loss(student, teacher, target, torch.zeros(6), 4.0)

    for stream in loss.streams:
        torch.testing.assert_close(whole[stream], rest[stream])
        torch.testing.assert_close(mean[stream] * 6, whole[stream] * (4 + EPS))
        assert nothing[stream] == 0
        assert not any(g.any() for g in gradients(nothing[stream], student))


@pytest.mark.parametrize('loss', LOSSES)
def test_scale_of_weight_and_average_factor(loss):
    student, teacher, target = batch()

    once = loss(student, teacher, target, weights(), 3.0 - EPS)
    scaled = loss(student, teacher, target, 5 * weights(), 6.0 - EPS)

    for stream in loss.streams:
        torch.testing.assert_close(scaled[stream], 2.5 * once[stream])


@pytest.mark.parametrize('loss', LOSSES)
def test_a_weight_of_one_is_no_weight(loss):
    student, teacher, target = batch()

    plain = loss(student, teacher, target)
    weighted = loss(student, teacher, target, torch.ones(6))

    for stream in loss.streams:
        torch.testing.assert_close(plain[stream], weighted[stream])


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kwargs', [
    {},
    dict(avg_factor=0.0),
    dict(weight=torch.empty(0)),
])
def test_an_empty_batch_is_zero_and_in_the_graph(loss, kwargs):
    layer = torch.nn.Linear(3, 5)
    views = tuple(layer(torch.empty(0, 3)) for _ in range(2))

    losses = loss(views, [torch.empty(0, 5)] * 2,
                  torch.empty(0, dtype=torch.int64), **kwargs)

    for value in losses.values():
        grads = torch.autograd.grad(
            value, layer.parameters(), retain_graph=True)
        assert value == 0
        assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize('loss', LOSSES)
def test_the_teacher_is_detached(loss):
    student, teacher, target = batch()
    for view in teacher:
        view.requires_grad_()

    for value in loss(student, teacher, target).values():
        assert any(grad.any() for grad in gradients(value, student))
        assert not any(grad.any() for grad in gradients(value, teacher))


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_logits_give_float32_inside_autocast_too(loss, dtype):
    student, teacher, target = batch(dtype=dtype)

    plain = loss(student, teacher, target)
    with torch.autocast('cpu', torch.bfloat16):
        inside = loss(student, teacher, target)

    for stream, value in inside.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, plain[stream])
        for grad in gradients(value, student):
            assert grad.dtype == dtype
            assert grad.isfinite().all()


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_at_ten_thousand(loss, dtype):
    signs = 1e4 * torch.tensor([[1, -1, 1, 0, -1], [-1, -1, -1, -1, 1],
                                [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    index = torch.cartesian_prod(*[torch.arange(4)] * 4)
    student = [signs[i].to(dtype).requires_grad_() for i in index.t()[:2]]
    teacher = [signs[i].to(dtype) for i in index.t()[2:]]

    losses = loss(student, teacher, torch.arange(256) % 5)

    for value in losses.values():
        assert value.isfinite()
        assert all(g.isfinite().all() for g in gradients(value, student))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('base', ['kd', 'dkd'])
def test_two_classes_and_one_sample(kind, base):
    student, teacher, target = batch(num_rows=1, num_classes=2)

    losses = kind(base=base, topk=1)(student, teacher, target)

    assert losses['non_target'] == 0
    assert losses['target'].isfinite()


@pytest.mark.parametrize('loss', LOSSES)
def test_warmup_scales_every_term(loss):
    full = loss(*batch())

    loss.warmup_factor = 0.25
    try:
        quarter = loss(*batch())
    finally:
        loss.warmup_factor = 1.0

    for stream in loss.streams:
        torch.testing.assert_close(quarter[stream], full[stream] / 4)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('standardize', [False, True])
def test_over_kd_the_streams_sum_to_the_plain_loss(kind, standardize):
    plain = kind(standardize=standardize)(*batch())
    decoupled = kind(base='kd', standardize=standardize)(*batch())

    torch.testing.assert_close(sum(decoupled.values()), plain['distill'])


@pytest.mark.parametrize('kind', KINDS)
def test_a_hook_may_set_topk_with_base_only(kind):
    loss = kind(base='dkd')
    loss.topk = 2

    assert loss.topk == 2
    assert loss(*batch()) == kind(base='dkd', topk=2)(*batch())
    assert loss(*batch())['non_target'] != kind(base='dkd')(
        *batch())['non_target']
    assert not hasattr(kind(), 'topk')
    with pytest.raises(AttributeError, match='without base has no topk'):
        kind().topk = 2


@pytest.mark.parametrize('kind', KINDS)
def test_soft_targets_need_no_base(kind):
    student, teacher, target = batch()
    soft = torch.full((6, 5), 0.2)

    assert kind()(student, teacher, soft) == kind()(student, teacher, target)
    with pytest.raises(ValueError, match=f'{kind.__name__} splits the class'):
        kind(base='kd')(student, teacher, soft)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('kwargs', [
    dict(alpha=2.0), dict(beta=8.0), dict(topk=3)
])
def test_options_of_deepkd_need_a_base(kind, kwargs):
    with pytest.raises(ValueError, match="set base='kd' or base='dkd' too"):
        kind(**kwargs)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(base='gdkd'), "base is 'gdkd' but must be one of"),
    (dict(semantics='paperr'), "semantics is 'paperr' but must be one of"),
])
def test_unknown_choices_are_refused(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        kind(**kwargs)


@pytest.mark.parametrize('kind', KINDS)
def test_two_views_of_the_same_samples_are_needed(kind):
    student, teacher, target = batch()
    loss = kind()

    with pytest.raises(ValueError, match='needs logits_student of two views'):
        loss(student[0], teacher, target)
    with pytest.raises(ValueError, match='needs logits_teacher of two views'):
        loss(student, (*teacher, teacher[0]), target)
    with pytest.raises(ValueError, match='views must be of the same samples'):
        loss(student, (teacher[0], teacher[1][:4]), target)
    with pytest.raises(ValueError, match=r'weight has shape .* be \(6,\)'):
        loss(student, teacher, target, torch.ones(5))


@pytest.mark.parametrize('kind', KINDS)
def test_registered_without_a_state(kind):
    assert MODELS.module_dict[kind.__name__] is kind
    assert kind.__name__ == f'{kind.method.upper()}Loss'
    assert not kind(base='kd').state_dict()
