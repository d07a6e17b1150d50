"""The losses' trainable modules are the child ``distill``."""
import copy
from unittest import mock

import pytest
import torch
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from mmdeepkd.distillers import BaseDistiller, Place
from mmdeepkd.distillers.teacher import load_strictly
from tests.helpers.training import equal_tensors

KD = dict(type='mmdeepkd.KDLoss')
DIFFKD = dict(type='mmdeepkd.DiffKDLogitsLoss')


class RenamingNet(BaseModel):
    """Saves and loads the names of the network in it, as TimmClassifier."""

    def __init__(self, hidden=4):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(3, hidden), nn.Linear(hidden, 5))
        self._register_state_dict_hook(self._shorten)
        self._register_load_state_dict_pre_hook(self._lengthen)

    @staticmethod
    def _shorten(module, state_dict, prefix, local_metadata):
        start = f'{prefix}model.'
        for name in [key for key in state_dict if key.startswith(start)]:
            state_dict[prefix + name[len(start):]] = state_dict.pop(name)

    @staticmethod
    def _lengthen(state_dict, prefix, *args):
        for name in list(state_dict):
            state_dict[f'{prefix}model.{name[len(prefix):]}'] = (
                state_dict.pop(name))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.model(inputs)


class RenamingDistiller(BaseDistiller):
    model_scope = 'mmengine'
    num_logits = 5

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._build_adapters()

    def _places(self, loss):
        return [Place('logits', 0, 0, 5, 5)]

    def loss(self, inputs, data_samples):
        losses = {}
        logits = {'logits': (self.student(inputs), self.teacher(inputs))}
        for name, loss in self.feature_losses:
            losses.update(self._compare_features(name, loss, logits))
        return losses


@pytest.fixture(autouse=True)
def registered():
    MMENGINE_MODELS.register_module(module=RenamingNet)
    yield
    MMENGINE_MODELS._module_dict.pop('RenamingNet')


@pytest.fixture
def make(tmp_path):
    def build(*losses, cls=RenamingDistiller, seed=0):
        torch.manual_seed(1)
        path = tmp_path / 'teacher.pth'
        torch.save(RenamingNet(6).state_dict(), path)
        torch.manual_seed(seed)
        return cls(
            dict(type='mmengine.RenamingNet'),
            dict(type='mmengine.RenamingNet', hidden=6), str(path),
            list(losses))

    return build


def plain_names():
    return list(RenamingNet().state_dict())


def adapters_of(state):
    return {k: v for k, v in state.items() if k.startswith('distill.')}


def test_without_a_feature_loss_there_is_none(make):
    distiller = make(KD)

    assert not hasattr(distiller, 'distill')
    assert list(distiller.state_dict()) == plain_names()
    assert [name for name, _ in distiller.logit_losses] == ['loss_kd']
    assert distiller.feature_losses == []


def test_losses_are_told_apart(make):
    distiller = make(KD, DIFFKD, DIFFKD)

    assert [name for name, _ in distiller.logit_losses] == ['loss_kd']
    assert [name for name, _ in distiller.feature_losses] == [
        'loss_diffkd_logits', 'loss_diffkd_logits_1']
    assert set(distiller.distill) == {'diffkd_logits', 'diffkd_logits_1'}
    assert distiller.stream_of('feature.loss_diffkd_logits') == 'feature'


def test_two_of_one_kind_draw_different_noise(make):
    distiller, alone = make(DIFFKD, DIFFKD), make(DIFFKD)
    seen, logits = [], torch.randn(3, 5)
    for model in (distiller, alone):
        for _, loss in model.feature_losses:
            adapter = loss.build_adapter(5, 5)
            with mock.patch.object(
                    type(adapter), 'draws', autospec=True,
                    side_effect=type(adapter).draws) as drawn:
                loss(adapter, logits, logits, place='logits')
            seen.append(drawn.call_args.args[-1])

    # The first draws what it draws alone.
    assert seen == ['diffkd_logits logits', 'diffkd_logits_1 logits',
                    'diffkd_logits logits']


def test_the_tensors_come_after_the_students(make):
    distiller, plain = make(KD, DIFFKD), make(KD)
    for names in ('named_parameters', 'named_buffers'):
        found = [name for name, _ in getattr(distiller, names)()]
        expected = [name for name, _ in getattr(plain, names)()]
        assert found[:len(expected)] == expected
        assert found[len(expected):] and all(
            name.startswith('distill.diffkd_logits.logits.')
            for name in found[len(expected):])
    assert set(distiller.state_dict()) == set(plain_names()) | set(
        adapters_of(distiller.state_dict()))
    assert not any(p.numel() for p in distiller.losses.parameters())


def test_the_student_starts_and_draws_as_without_them(make):
    draws = []
    for losses in ([KD, DIFFKD], [KD]):
        distiller = make(*losses)
        draws.append((distiller.student.state_dict(), torch.rand(3)))

    assert equal_tensors(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])


@pytest.mark.parametrize('load', [
    lambda model, path: load_checkpoint(model, path, strict=True),
    lambda model, path: model.load_state_dict(torch.load(path)),
], ids=['mmengine', 'torch'])
def test_a_student_that_renames_its_tensors_leaves_them_alone(
        load, make, tmp_path):
    source, distiller = make(KD, DIFFKD, seed=1), make(KD, DIFFKD)
    assert not equal_tensors(source.state_dict(), distiller.state_dict())
    torch.save(source.state_dict(), tmp_path / 'net.pth')
    load(distiller, str(tmp_path / 'net.pth'))

    assert len(adapters_of(source.state_dict())) > 20
    assert equal_tensors(source.state_dict(), distiller.state_dict())


def test_an_average_of_it_is_saved_and_loaded(make):
    source, other = (ExponentialMovingAverage(make(DIFFKD, seed=seed))
                     for seed in (1, 0))
    names = {name.replace('module.', '', 1) for name in source.state_dict()}
    other.load_state_dict(copy.deepcopy(source.state_dict()))

    assert names == {*source.module.state_dict(), 'steps'}
    assert equal_tensors(source.state_dict(), other.state_dict())


def test_what_is_missing_or_unexpected_is_named(make):
    distilled, plain = make(KD, DIFFKD), make(KD)
    # Of files without versions torch does not miss BatchNorm's counters.
    names = {name for name in adapters_of(distilled.state_dict())
             if not name.endswith('num_batches_tracked')}
    found = distilled.load_state_dict(plain.state_dict(), strict=False)
    assert set(found.missing_keys) == names and not found.unexpected_keys

    found = plain.load_state_dict(distilled.state_dict(), strict=False)
    assert set(found.unexpected_keys) >= names and not found.missing_keys


def test_a_copy_has_its_own(make):
    distiller = make(DIFFKD).eval()
    inputs = torch.randn(3, 3)
    twin = copy.deepcopy(distiller)

    assert twin.distill is not distiller.distill
    assert equal_tensors(twin.state_dict(), distiller.state_dict())
    for name, value in twin.loss(inputs, None).items():
        assert torch.equal(value, distiller.loss(inputs, None)[name])
    with torch.no_grad():
        for parameter in twin.distill.parameters():
            parameter.zero_()
    assert any(p.any() for p in distiller.distill.parameters())


def test_they_move_and_switch_along(make):
    distiller = make(DIFFKD).train().double()

    assert {p.dtype for p in distiller.distill.parameters()} == {
        torch.float64}
    assert all(m.training for m in distiller.distill.modules())
    assert not any(m.training for m in distiller.eval().distill.modules())


def test_a_distiller_that_does_not_say_where(make):
    class Nowhere(RenamingDistiller):
        _places = BaseDistiller._places

    with pytest.raises(TypeError, match=(
            'Nowhere does not say where DiffKDLogitsLoss compares features: '
            'override _places, or use a loss on logits')):
        make(DIFFKD, cls=Nowhere)


def test_a_teacher_that_was_distilled_itself(make, tmp_path, logged):
    source = make(KD, DIFFKD)
    path = str(tmp_path / 'distilled.pth')
    torch.save(dict(state_dict=source.state_dict(), meta={}), path)
    teacher = RenamingNet()
    report = load_strictly(teacher, path)

    assert equal_tensors(teacher.state_dict(), {
        name: source.state_dict()[name] for name in plain_names()})
    assert report.matched == report.total == 4
    number = len(adapters_of(source.state_dict()))
    assert [text for text in logged if (
        f'the teacher checkpoint {path} was distilled itself: its {number} '
        'tensors (distill.diffkd_logits.logits.') in text]


def test_of_such_a_teacher_everything_else_must_match(make, tmp_path):
    state = make(DIFFKD).state_dict()
    state['distillation.weight'] = torch.zeros(1)
    torch.save(state, tmp_path / 'distilled.pth')
    with pytest.raises(RuntimeError, match=(
            r'1 unexpected \((model\.)?distillation\.weight\)')):
        load_strictly(RenamingNet(), str(tmp_path / 'distilled.pth'))
