"""Losses on a part of the RoIs: which rows, and averaged over what."""
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmdeepkd.losses import (
    DeepKDLoss,
    DISTLoss,
    DKDLoss,
    ForegroundLoss,
    GDKD3Loss,
    GDKDSLoss,
    MLKDLoss,
)
from tests.slow_reference import kl

EPS = torch.finfo(torch.float32).eps
BACKGROUND = 4


def batch():
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(
        2, 8, 5, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 4, 2, 4, 4, 1, 4, 3])
    # Neither way of telling the background may pass for the other.
    teacher[:4, BACKGROUND] += 20
    return student.requires_grad_(), teacher, target


def parts(rows, weight=None, factor=None):
    """Return DKD of some rows by hand: sum of w l over the rows' share."""
    student, teacher, target = batch()
    weight = torch.ones(8, dtype=torch.float64) if weight is None else weight
    dkd = DKDLoss(temperature=1.0)
    singles = [dkd(student[n:n + 1], teacher[n:n + 1], target[n:n + 1])
               for n in rows]
    if factor is None:
        divisor = len(rows)
    else:
        divisor = factor * weight[rows].sum() / weight.sum() + EPS
    return {
        stream: sum(weight[n] * one[stream]
                    for n, one in zip(rows, singles)) / divisor
        for stream in dkd.streams
    }


def foreground(**options):
    return ForegroundLoss(
        dict(type='mmdeepkd.DKDLoss', temperature=1.0, **options))


@pytest.mark.parametrize('weight', [
    None, torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]),
    torch.linspace(0.5, 2, 8)
])
@pytest.mark.parametrize('factor', [None, 8, 6.0, torch.tensor(7.0)])
def test_the_foreground_is_averaged_over_its_share(weight, factor):
    weight = weight if weight is None else weight.double()

    found = foreground()(*batch(), weight, factor)

    torch.testing.assert_close(
        found, parts([0, 2, 5, 7], weight, factor), rtol=1e-9, atol=1e-12)


def test_the_background_does_not_matter():
    student, teacher, target = batch()
    changed = student.detach().clone()
    changed[target == BACKGROUND] = 1e4

    losses = foreground()(student, teacher, target)
    grad, = torch.autograd.grad(sum(losses.values()), student)

    assert foreground()(changed, teacher, target) == losses
    assert not grad[target == BACKGROUND].any()
    assert grad[target != BACKGROUND].any()


@pytest.mark.parametrize('factor', [None, 8.0])
@pytest.mark.parametrize('target', [
    torch.full((8, ), BACKGROUND), torch.empty(0, dtype=torch.int64)
])
def test_without_foreground_it_is_zero_and_in_the_graph(target, factor):
    layer = nn.Linear(3, 5)
    student = layer(torch.ones(len(target), 3))
    weight = torch.ones(len(target))

    losses = foreground()(student, torch.zeros_like(student), target, weight,
                          factor)

    for value in losses.values():
        grads = torch.autograd.grad(
            value, layer.parameters(), retain_graph=True)
        assert value == 0
        assert not any(grad.any() for grad in grads)


def test_a_statistic_of_the_batch_is_that_of_the_foreground():
    student, teacher, target = batch()
    rows = target != BACKGROUND

    found = ForegroundLoss(dict(type='mmdeepkd.DISTLoss'))(*batch())

    assert found == DISTLoss()(student[rows], teacher[rows], target[rows])


def test_hooks_see_the_inner_loss():
    loss = ForegroundLoss(dict(type='mmdeepkd.DeepKDLoss', temperature=1.0))
    loss.topk, loss.warmup_factor = 2, 0.5
    student, teacher, target = batch()
    rows = target != BACKGROUND
    expected = DeepKDLoss(topk=2, temperature=1.0)(
        student[rows], teacher[rows], target[rows])

    assert (loss.streams, loss.method) == (DeepKDLoss.streams, 'deepkd')
    assert (loss.topk, loss.loss.topk) == (2, 2)
    assert loss.warmup_factor == 0.5
    assert loss(*batch()) == {s: v / 2 for s, v in expected.items()}
    assert not hasattr(foreground(), 'topk')


@pytest.mark.parametrize(('background', 'rows'), [
    ('label', [0, 2, 5, 7]),
    ('teacher', [4, 5, 6, 7]),
])
@pytest.mark.parametrize('weight', [None, torch.linspace(0.5, 2, 8)])
@pytest.mark.parametrize('factor', [None, 8])
def test_gdkds_averages_each_part_over_its_share(background, rows, weight,
                                                 factor):
    weight = weight if weight is None else weight.double()
    student, teacher, target = batch()
    assert set(teacher.argmax(1)[:4].tolist()) == {BACKGROUND}
    assert BACKGROUND not in teacher.argmax(1)[4:]
    options = dict(temperature=2.0, background=background)
    shares = []
    for part in (rows, [n for n in range(8) if n not in rows]):
        ones = torch.ones(8) if weight is None else weight
        share = None if factor is None else (
            factor * (ones[part].sum() / ones.sum()).item())
        shares.append((student[part], teacher[part], target[part],
                       None if weight is None else weight[part], share))
    fore = GDKD3Loss(2, (1.0, 0.0, 3.0), 2.0)(*shares[0])
    back = DKDLoss(0.5, 2.0, 2.0)(*shares[1])

    found = GDKDSLoss((1.0, 3.0, 0.5, 2.0), **options)(
        student, teacher, target, weight, factor)

    torch.testing.assert_close(
        found, {s: fore[s] + back[s] for s in fore}, rtol=1e-6, atol=0)


def test_top1_splits_off_the_teachers_choice():
    student, teacher, target = batch()
    rows = target == BACKGROUND

    found = GDKDSLoss((0.0, 0.0, 1.0, 0.25), split='top1')(*batch())
    expected = DKDLoss(1.0, 0.25, 1.0)(student[rows], teacher[rows],
                                       teacher[rows].argmax(1))

    assert found == expected
    assert found != GDKDSLoss((0.0, 0.0, 1.0, 0.25))(*batch())


@pytest.mark.parametrize(('split', 'tckd', 'nckd'), [
    # Of the label, class 0: 1/8 against 7/8, then 2/7 against 5/7.
    ('target', ([1 / 8, 7 / 8], [1 / 3, 2 / 3]),
     ([2 / 7, 5 / 7], [1 / 2, 1 / 2])),
    # Of the teacher's choice, the background: 5/8 against 3/8, then 1/3
    # against 2/3.
    ('top1', ([5 / 8, 3 / 8], [1 / 3, 2 / 3]),
     ([1 / 3, 2 / 3], [1 / 2, 1 / 2])),
])
def test_the_split_class_of_a_row_that_only_the_teacher_calls_background(
        split, tckd, nckd):
    teacher = torch.tensor([[1.0, 2.0, 5.0]], dtype=torch.float64).log()
    loss = GDKDSLoss(background='teacher', split=split)

    losses = loss(torch.zeros_like(teacher), teacher, torch.tensor([0]))

    assert losses['target'].item() == pytest.approx(kl(*tckd))
    assert losses['non_target'].item() == pytest.approx(0.25 * kl(*nckd))


class SyncCounter(TorchDispatchMode):
    """Count where the host waits for a GPU to know a number of rows."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += name in ('nonzero', 'masked_select')
        if name == 'index':
            self.count += sum(index is not None and index.dtype == torch.bool
                              for index in args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(('loss', 'parts'), [(foreground(), 1),
                                             (GDKDSLoss(), 2)])
def test_the_host_waits_once_per_part(loss, parts):
    with SyncCounter() as counter:
        loss(*batch(), torch.linspace(0.5, 2, 8), torch.tensor(7.0))

    assert counter.count == parts


LOSSES = [foreground(), GDKDSLoss()]


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize(('change', 'error', 'message'), [
    (dict(target=torch.zeros(8, 5)), ValueError,
     'splits the classes by the target'),
    (dict(target=torch.full((8, ), 5)), ValueError, 'target holds class 5'),
    (dict(target=torch.zeros(8)), TypeError, 'target has dtype'),
    (dict(logits_teacher=torch.zeros(7, 5)), ValueError,
     r'logits_teacher \(7, 5\)'),
    (dict(weight=torch.ones(7)), ValueError, r'weight has shape \(7,\)'),
    (dict(weight=torch.ones(8, 1)), ValueError, r'weight has shape \(8, 1\)'),
    (dict(avg_factor=torch.ones(1)), ValueError, r'avg_factor has shape'),
])
def test_wrong_inputs_raise(loss, change, error, message):
    student, teacher, target = batch()
    inputs = dict(
        logits_student=student, logits_teacher=teacher, target=target)

    with pytest.raises(error, match=message):
        loss(**{**inputs, **change})


def test_two_views_are_refused():
    with pytest.raises(ValueError, match='ForegroundLoss got MLKDLoss, which '
                       'compares 2 views'):
        ForegroundLoss(dict(type=MLKDLoss))


@pytest.mark.parametrize('inner', [
    dict(type=GDKDSLoss),
    dict(type=ForegroundLoss, loss=dict(type=DKDLoss))
])
def test_a_loss_of_the_background_is_refused(inner):
    name = inner['type'].__name__
    with pytest.raises(ValueError, match=f'got {name}, which needs the back'):
        ForegroundLoss(inner)


def test_what_is_no_distillation_loss_is_refused():
    with pytest.raises(TypeError, match='got Identity, which is no distillat'):
        ForegroundLoss(dict(type=nn.Identity))


class BareLoss(nn.Module):
    """A loss that names its streams and no more."""

    streams = ('distill', )
    method = 'bare'

    def forward(self, student, teacher, target, weight, avg_factor):
        return dict(distill=(student - teacher).abs().sum())


def test_a_loss_on_features_is_refused():
    with pytest.raises(TypeError, match='ForegroundLoss got DiffKDLoss, which '
                       'compares features'):
        ForegroundLoss(dict(type='mmdeepkd.DiffKDLoss'))


def test_a_loss_that_tells_nothing_of_views_compares_one():
    student, teacher, target = batch()
    rows = target != BACKGROUND
    expected = BareLoss()(student[rows], teacher[rows], target, None, None)

    assert ForegroundLoss(dict(type=BareLoss))(*batch()) == expected
