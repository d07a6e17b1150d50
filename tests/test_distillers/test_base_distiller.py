"""The task-independent half, with a classifier of two layers."""
import copy
import pickle

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from mmdeepkd.checkpoints import compare_tensors
from mmdeepkd.distillers import BaseDistiller
from mmdeepkd.distillers.teacher import TeacherHolder, load_strictly
from tests.helpers.training import sgd_wrapper


class TinyNet(BaseModel):

    def __init__(self, hidden=4, child='body', **kwargs):
        super().__init__(**kwargs)
        self.add_module(child, nn.Linear(3, hidden))
        self.head = nn.Linear(hidden, 5)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer('count', torch.zeros(1))

    def classify(self, inputs):
        return self(inputs).argmax(1)

    def _private(self):
        return 1

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.head(self.body(inputs)) * self.scale
        if mode == 'loss':
            loss = nn.functional.cross_entropy(logits, data_samples)
            return dict(loss_ce=loss, accuracy=(
                logits.argmax(1) == data_samples).float().mean())
        return logits


class TinyDistiller(BaseDistiller):
    model_scope = 'mmengine'
    num_logits = 5

    def loss(self, inputs, data_samples):
        losses = self.student(inputs, data_samples, mode='loss')
        logits = self.student(inputs)
        for name, loss in zip(self._loss_names, self.losses):
            for stream, value in loss(
                    logits, self.teacher(inputs), data_samples).items():
                losses[f'{stream}.{name}'] = value
        return losses


@pytest.fixture(autouse=True)
def registered():
    MMENGINE_MODELS.register_module(module=TinyNet)
    yield
    MMENGINE_MODELS._module_dict.pop('TinyNet')


@pytest.fixture
def make(tmp_path):
    def build(student=None, **kwargs):
        torch.manual_seed(1)
        path = tmp_path / 'teacher.pth'
        torch.save(TinyNet(6).state_dict(), path)
        kwargs.setdefault('losses', dict(type='mmdeepkd.DKDLoss'))
        return TinyDistiller(
            dict(type='mmengine.TinyNet', **(student or {})),
            dict(type='mmengine.TinyNet', hidden=6), str(path), **kwargs)

    return build


@pytest.fixture
def warnings(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning',
                        texts.append)
    return texts


def batch():
    torch.manual_seed(0)
    return dict(inputs=torch.randn(6, 3), data_samples=torch.arange(6) % 5)


def test_names_are_the_plain_students(make):
    distiller, plain = make(), TinyNet()

    assert list(distiller.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in distiller.named_parameters()] == [
        n for n, _ in plain.named_parameters()]
    assert [n for n, _ in distiller.named_buffers()] == [
        n for n, _ in plain.named_buffers()]
    plain.load_state_dict(distiller.state_dict(), strict=True)
    distiller.load_state_dict(plain.state_dict(), strict=True)


def test_the_parts_to_make_faster_are_the_tasks_to_name(make):
    distiller = make(teacher_speedup=dict())
    with pytest.raises(TypeError, match=(
            'TinyDistiller does not say which parts of its teacher '
            'teacher_speedup is for: override _teacher_roots, or leave '
            'teacher_speedup out')):
        distiller.running_teacher()


def test_direct_parameters_and_buffers_are_shared(make):
    distiller = make()
    distiller.load_state_dict(dict(
        distiller.state_dict(), scale=torch.tensor([2.]),
        count=torch.tensor([3.])))
    assert float(distiller.student.scale) == 2
    assert float(distiller.student.count) == 3
    distiller.double()
    assert distiller.student.scale is distiller.scale
    assert distiller.student.count.dtype == torch.float64
    twin = copy.deepcopy(distiller)
    assert twin.student.scale is twin.scale
    assert twin.student.scale is not distiller.scale


@pytest.mark.parametrize('name', ['losses', 'distill'])
def test_a_child_with_a_reserved_name(name, make):
    with pytest.raises(ValueError, match=f"named {{'{name}'}}.*rename them"):
        make(student=dict(child=name))


def test_streams_are_read_off_the_names(make):
    distiller = make()
    values = {
        'loss_ce': 1., 'accuracy': 50., 's0.loss_cls': 2.,
        'target.loss_dkd': 4., 'target.loss_dkd_1': 8.,
        'non_target.loss_dkd': 16., 'target.accuracy': 99.}
    losses = {k: torch.tensor(v) for k, v in values.items()}
    losses['loss_list'] = [torch.tensor(32.), torch.tensor([64., 128.])]
    total, log = distiller.parse_losses(losses)

    assert float(total) == 159
    assert {k: float(v) for k, v in total.streams.items()} == dict(
        task=131, target=12, non_target=16)
    assert float(log['accuracy']) == 50
    assert float(log['loss']) == 159


def test_an_undeclared_stream_is_task(make):
    distiller = make(losses=dict(type='mmdeepkd.KDLoss'))
    total, _ = distiller.parse_losses({
        'target.loss_x': torch.tensor(1.),
        'distill.loss_kd': torch.tensor(2.)})

    assert {k: float(v) for k, v in total.streams.items()} == dict(
        task=1, distill=2)


def test_task_weight_scales_lists_too_and_nothing_else(make):
    distiller = make(task_weight=0.5)
    losses = {
        'loss': [torch.tensor(2.), torch.tensor(4.)],
        'target.loss_dkd': torch.tensor(8.), 'accuracy': torch.tensor(50.)}
    total, log = distiller.parse_losses(losses)

    assert {k: float(v) for k, v in total.streams.items()} == dict(
        task=3, target=8)
    assert float(log['accuracy']) == 50
    # The caller's losses are left alone.
    assert losses['loss'][0] == 2


def test_training_moves_the_student_alone(make):
    distiller = make()
    before = copy.deepcopy(distiller.state_dict())
    taught = copy.deepcopy(distiller.teacher.state_dict())
    distiller.train_step(batch(), sgd_wrapper(distiller))

    assert not torch.equal(distiller.head.weight, before['head.weight'])
    for name, value in distiller.teacher.state_dict().items():
        assert torch.equal(value, taught[name])


def test_other_modes_are_the_students(make):
    distiller = make()
    inputs = batch()['inputs']

    assert torch.equal(distiller(inputs), distiller.student(inputs))
    assert torch.equal(
        distiller(inputs, mode='predict'), distiller.student(inputs))


def test_a_preprocessor_of_the_top_level_is_the_students(make):
    given = dict(type='ImgDataPreprocessor', mean=[1.], std=[2.])
    assert float(make(
        data_preprocessor=given).data_preprocessor.mean.flatten()) == 1
    own = dict(type='ImgDataPreprocessor', mean=[5.], std=[2.])
    distiller = make(
        student=dict(data_preprocessor=own), data_preprocessor=given)
    assert float(distiller.data_preprocessor.mean.flatten()) == 5
    assert distiller.student.data_preprocessor is distiller.data_preprocessor


def test_public_methods_of_the_student_are_its_own(make):
    distiller = make()
    inputs = batch()['inputs']

    assert distiller.classify == distiller.student.classify
    for twin in (copy.deepcopy(distiller),
                 pickle.loads(pickle.dumps(distiller))):
        # The copy's, not the original's.
        assert twin.classify.__self__ is twin.student
        assert twin.student is not distiller.student
        assert twin.classify(inputs).equal(distiller.classify(inputs))
    for name in ('_private', 'nowhere', '__nowhere__'):
        assert not hasattr(distiller, name)
    # While it is being built or copied there is no student yet.
    assert not hasattr(TinyDistiller.__new__(TinyDistiller), 'classify')


def test_a_child_that_is_replaced_is_the_students_too(make):
    distiller = make()
    head = distiller.head = nn.Linear(4, 5)

    assert distiller.student.head is head
    assert 'head.weight' in distiller.state_dict()
    distiller.mine = nn.Linear(1, 1)
    assert 'mine' not in dict(distiller.student.named_children())


def test_init_cfg_is_the_students(make):
    distiller = make(init_cfg=dict(type='Constant', layer='Linear', val=7.))
    distiller.init_weights()

    assert (distiller.head.weight == 7).all()
    assert not (distiller.teacher.head.weight == 7).any()


def test_training_without_distill_runner_warns_once(make, warnings):
    distiller = make()
    wrapper = sgd_wrapper(distiller)
    for _ in range(2):
        distiller.train_step(batch(), wrapper)

    assert len(warnings) == 1
    assert "set runner_type='mmdeepkd.DistillRunner'" in warnings[0]


def test_with_plain_checkpoints_nothing_is_warned_of(make, warnings):
    distiller = make()
    distiller.plain_checkpoints = True
    distiller.train_step(batch(), sgd_wrapper(distiller))

    assert warnings == []


def test_the_holder_freezes_and_its_copy_only_borrows():
    net = TinyNet().train()
    report = compare_tensors('teacher', 'net.pth', {}, {})
    holder = TeacherHolder(net, report)

    twin = copy.deepcopy([holder])[0]
    assert twin.module is net and holder.owned and not twin.owned
    assert not net.training and not net.head.training
    assert not any(p.requires_grad for p in net.parameters())


def test_strict_loading_takes_bare_and_wrapped_files(tmp_path):
    source = TinyNet()
    for content in (source.state_dict(), dict(
            state_dict=source.state_dict(), meta=dict(epoch=3))):
        torch.save(content, tmp_path / 'net.pth')
        net = TinyNet()
        load_strictly(net, str(tmp_path / 'net.pth'))
        assert torch.equal(net.head.weight, source.head.weight)
