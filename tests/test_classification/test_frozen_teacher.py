"""The distiller is the student to everyone else; the teacher is in nothing."""
import copy
import gc
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.engine import SwitchRecipeHook

from mmdeepkd.engine import DistillRunner
from tests.helpers.classifier_runs import (
    classifier_losses,
    classifier_steps,
    train_classifier,
)
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    image_batch,
    make_distiller,
    preprocessor,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.training import equal_tensors

# No tensor of the student has a side of this length.
TEACHER_WIDTH = 7
WRAPPER = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
    delta=0.05)
STUDENTS = pytest.mark.parametrize('student', [resnet, timm_net])


@pytest.fixture
def distiller(tmp_path):
    return make_distiller(tmp_path, resnet(), resnet(width=TEACHER_WIDTH))


def teacher_stems():
    """Count the living parameters of the form of the teacher's stem."""
    gc.collect()
    return sum(
        isinstance(o, torch.Tensor) and o.shape == (TEACHER_WIDTH, 3, 7, 7)
        for o in gc.get_objects())


def test_training_leaves_the_teacher_byte_identical(distiller):
    before = copy.deepcopy(distiller.teacher.state_dict())
    student = copy.deepcopy(distiller.state_dict())
    classifier_steps(distiller, 3)

    assert any('running_mean' in name for name in before)
    assert equal_tensors(distiller.teacher.state_dict(), before)
    assert not equal_tensors(distiller.state_dict(), student)


@STUDENTS
def test_the_teacher_is_no_part_of_the_module(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    plain = build_classifier(student())
    teacher = {id(t) for t in (*distiller.teacher.parameters(),
                               *distiller.teacher.buffers())}

    assert list(distiller.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in distiller.named_parameters()] == [
        n for n, _ in plain.named_parameters()]
    assert not teacher & {
        id(t) for t in (*distiller.parameters(), *distiller.buffers(),
                        *distiller.state_dict(keep_vars=True).values())}


@STUDENTS
def test_files_go_both_ways_with_a_plain_student(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    plain = build_classifier(student())
    for source, other in ((distiller, plain), (plain, distiller)):
        keys = other.load_state_dict(source.state_dict(), strict=True)
        assert not keys.missing_keys and not keys.unexpected_keys
        assert equal_tensors(other.state_dict(), source.state_dict())


def test_state_dict_keeps_the_versions_of_submodules(distiller):
    plain = build_classifier(resnet()).state_dict()._metadata
    ours = distiller.state_dict()._metadata

    assert {k: v for k, v in ours.items() if not k.startswith('losses')
            } == plain


def test_the_teacher_stays_in_eval_and_frozen(distiller):
    for mode in (True, False, True):
        distiller.train(mode)
        assert not any(m.training for m in distiller.teacher.modules())
        assert distiller.backbone.training is mode
    assert not any(p.requires_grad for p in distiller.teacher.parameters())


@STUDENTS
def test_a_deep_copy_shares_the_teacher_and_nothing_else(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    twin = copy.deepcopy(distiller)
    before = copy.deepcopy(distiller.state_dict())
    log, = classifier_steps(twin)

    assert log['target.loss_deepkd'] > 0
    assert twin.teacher is distiller.teacher
    assert equal_tensors(distiller.state_dict(), before)
    assert not equal_tensors(twin.state_dict(), before)
    # The copy's student and its flat view are one.
    assert next(twin.student.children()) is next(twin.children())
    twin.load_state_dict(before, strict=True)
    assert equal_tensors(twin.state_dict(), before)


# Not of timm: MMEngine's EMAHook cannot save a plain TimmClassifier either.
def test_the_ema_copy_holds_no_second_teacher(tmp_path):
    teacher = resnet(width=TEACHER_WIDTH)
    config = distiller_config(
        resnet(), teacher, write_teacher(teacher, tmp_path / 'teacher.pth'))
    held = teacher_stems()
    runner, _ = train_classifier(
        config, WRAPPER, tmp_path, runner_class=DistillRunner,
        train_cfg=dict(by_epoch=True, max_epochs=1), images=dict(images=4),
        custom_hooks=[dict(type='EMAHook')])
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)

    assert ema.ema_model.module.teacher is runner.model.teacher
    assert teacher_stems() - held == 1
    plain = set(build_classifier(resnet()).state_dict())
    assert set(saved['state_dict']) == plain
    assert {k.split('module.')[-1] for k in saved['ema_state_dict']
            } == plain | {'steps'}


@STUDENTS
def test_resuming_ends_where_the_straight_run_did(student, tmp_path):
    config = distiller_config(
        student(), resnet(), write_teacher(
            resnet(), tmp_path / 'teacher.pth'))
    epochs = dict(
        runner_class=DistillRunner, images=dict(images=4),
        train_cfg=dict(by_epoch=True, max_epochs=2))
    _, straight = train_classifier(config, WRAPPER, tmp_path / 'a', **epochs)
    _, again = train_classifier(
        config, WRAPPER, tmp_path / 'b', resume=True,
        load_from=str(tmp_path / 'a' / 'epoch_1.pth'), seed=5, **epochs)
    first, second = (torch.load(tmp_path / folder / 'epoch_2.pth')
                     for folder in 'ab')

    assert again == straight[2:]
    assert equal_tensors(first['state_dict'], second['state_dict'])


@STUDENTS
def test_the_students_network_runs_once(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    module = distiller.head if student is resnet else distiller.model
    calls = []
    module.register_forward_hook(lambda *args: calls.append(1))
    classifier_losses(distiller)

    assert len(calls) == 1


def test_the_teacher_runs_without_a_graph(distiller):
    outputs = []
    distiller.teacher.head.register_forward_hook(
        lambda module, args, out: outputs.append(out))
    classifier_losses(distiller)

    assert len(outputs) == 1
    assert not outputs[0].requires_grad


def test_nothing_is_captured_outside_the_loss(distiller):
    data = distiller.data_preprocessor(image_batch())
    distiller(**data, mode='tensor')
    assert distiller._capture._outputs == []
    classifier_losses(distiller)
    assert distiller._capture._outputs == []


@pytest.mark.parametrize('move', [
    lambda m: m.to(torch.float64), lambda m: m.half(), lambda m: m.to('meta')
], ids=['to', 'half', 'meta'])
def test_the_teacher_moves_along(move, distiller):
    move(distiller)
    wanted = next(distiller.parameters())

    assert wanted.dtype != torch.float32 or wanted.device.type == 'meta'
    for tensor in distiller.teacher.parameters():
        assert (tensor.dtype, tensor.device) == (wanted.dtype, wanted.device)


@STUDENTS
def test_the_student_starts_as_without_a_teacher(student, tmp_path):
    torch.manual_seed(3)
    plain = build_classifier(student())
    plain.init_weights()
    after = torch.rand(3)
    distiller = make_distiller(tmp_path, student(), resnet(width=6), seed=3)

    assert equal_tensors(distiller.state_dict(), plain.state_dict())
    assert torch.equal(torch.rand(3), after)


@STUDENTS
def test_predictions_are_the_students(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    plain = build_classifier(student())
    plain.load_state_dict(distiller.state_dict())
    ours, theirs = (m.eval().test_step(image_batch())
                    for m in (distiller, plain))

    assert len(ours) == 4
    for one, other in zip(ours, theirs):
        assert torch.equal(one.pred_score, other.pred_score)


def test_the_student_can_inherit_the_teachers_head(tmp_path):
    distiller = make_distiller(
        tmp_path, resnet(), resnet(), student_init=dict(inherit=['head']))

    assert torch.equal(distiller.head.fc.weight,
                       distiller.teacher.head.fc.weight)
    assert not torch.equal(distiller.backbone.conv1.weight,
                           distiller.teacher.backbone.conv1.weight)


def test_layers_of_a_transformer_get_their_own_learning_rates(tmp_path):
    vit = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=preprocessor(),
        backbone=dict(
            type='mmpretrain.VisionTransformer', img_size=32, patch_size=16,
            arch=dict(embed_dims=8, num_layers=2, num_heads=2,
                      feedforward_channels=8)),
        head=dict(type='mmpretrain.VisionTransformerClsHead', num_classes=5,
                  in_channels=8))
    wrapper = dict(
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.1),
        paramwise_cfg=dict(layer_decay_rate=0.5))
    distiller, plain = (
        [group['lr'] for group in build_optim_wrapper(
            model, copy.deepcopy(wrapper)).param_groups]
        for model in (make_distiller(tmp_path, vit, resnet()),
                      build_classifier(vit)))

    assert distiller == plain
    assert len(set(distiller)) == 4


def test_methods_of_the_student_are_the_distillers(distiller):
    for name in ('extract_feat', 'predict', 'get_layer_depth'):
        assert getattr(distiller, name) == getattr(distiller.student, name)
    assert distiller.with_head and distiller.with_neck


@STUDENTS
def test_a_recipe_can_switch_the_loss(student, tmp_path):
    distiller = make_distiller(tmp_path, student(), resnet())
    loss = build_classifier(dict(
        type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1))
    SwitchRecipeHook._switch_loss(SimpleNamespace(model=distiller), loss)
    owner = distiller.student if student is timm_net else distiller.head

    assert owner.loss_module is loss
