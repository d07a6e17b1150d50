"""A faster teacher teaches the same, and is seen by nobody else."""
import copy

import pytest
import torch
from mmengine.logging import MMLogger

from mmdeepkd.distillers.speedup import is_accelerated
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
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.lively import has_a_say, liven
from tests.helpers.training import equal_tensors

WRAPPER = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
    delta=0.05)
SWITCHES = pytest.mark.parametrize('speedup', [
    dict(), dict(fold_bn=False), dict(channels_last=False)],
    ids=['both', 'channels_last', 'fold_bn'])
TEACHERS = pytest.mark.parametrize('teacher', [
    resnet, timm_net, lambda: timm_net(name='resnet10t')],
    ids=['resnet', 'mobilenetv3', 'resnet10t'])


def pair(folder, teacher, student=None, **speedup):
    """Build a distiller with the speed-up and one without."""
    checkpoint = liven(
        write_teacher(teacher, folder / 'teacher.pth'))
    built = []
    for kwargs in (dict(teacher_speedup=speedup), {}):
        torch.manual_seed(0)
        distiller = build_classifier(distiller_config(
            student or resnet(), teacher, checkpoint, **kwargs))
        distiller.init_weights()
        built.append(distiller)
    return built


@pytest.fixture
def logged(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    return texts


@pytest.mark.parametrize('teacher, weight', [
    (resnet, 'layer1.0.conv1.weight'), (resnet, 'layer4.1.bn2.weight'),
    (timm_net, 'blocks.1.1.conv_pw.weight'),
    (lambda: timm_net(name='resnet10t'), 'layer1.0.conv2.weight'),
], ids=['resnet first', 'resnet last', 'mobilenetv3', 'resnet10t'])
def test_the_blocks_of_these_teachers_do_something(teacher, weight, tmp_path):
    """Else nothing that goes wrong inside of one would be seen."""
    distiller, _ = pair(tmp_path, teacher())
    network = getattr(distiller.teacher, 'backbone', None)
    if network is None:
        network = distiller.teacher.model

    assert has_a_say(network, weight, torch.randn(2, 3, 32, 32))


@SWITCHES
@TEACHERS
def test_the_losses_are_the_same_but_for_rounding(speedup, teacher, tmp_path):
    fast, plain = (d.double() for d in pair(tmp_path, teacher(), **speedup))
    for seed in range(2):
        data = fast.data_preprocessor(image_batch(seed=seed))
        data['inputs'] = data['inputs'].double()
        found, expected = (d(**data, mode='loss') for d in (fast, plain))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9,
                                       atol=1e-13)
    assert is_accelerated(fast.teacher) and not is_accelerated(plain.teacher)


def test_bfloat16_is_within_its_rounding(tmp_path, logged):
    fast, plain = pair(tmp_path, resnet(), amp='bf16')
    inputs = fast.data_preprocessor(image_batch())['inputs']
    found, expected = (d._run_teacher(inputs, []) for d in (fast, plain))

    assert found.dtype == torch.float32
    difference = float((found - expected).abs().max() / expected.abs().max())
    assert 1e-5 < difference < 0.03
    assert [text for text in logged if 'teacher_speedup: backbone: 20 of 20 '
            'BatchNorms folded, channels_last, amp bf16' in text]


@pytest.mark.parametrize('amp', [None, 'bf16'])
def test_inside_of_the_runs_own_autocast(amp, tmp_path):
    fast, plain = pair(tmp_path, resnet(), amp=amp)
    with torch.autocast('cpu', torch.bfloat16):
        found, expected = (
            classifier_losses(d)['non_target.loss_deepkd'].detach()
            for d in (fast, plain))

    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_nothing_happens_before_the_first_batch(tmp_path):
    distiller, _ = pair(tmp_path, resnet())
    before = copy.deepcopy(distiller.teacher.state_dict())
    distiller.eval().test_step(image_batch())
    assert not is_accelerated(distiller.teacher)
    assert equal_tensors(distiller.teacher.state_dict(), before)

    classifier_steps(distiller)
    assert is_accelerated(distiller.teacher)
    assert type(distiller.teacher.backbone.bn1) is torch.nn.Identity
    assert not any(m.training for m in distiller.teacher.modules())
    assert not any(p.requires_grad for p in distiller.teacher.parameters())


@pytest.mark.parametrize('student', [resnet, timm_net])
def test_nothing_of_it_is_in_the_distiller(student, tmp_path):
    distiller, plain = pair(tmp_path, resnet(), student())
    classifier_steps(distiller)
    teacher = {id(t) for t in distiller.teacher.state_dict(
        keep_vars=True).values()}

    assert list(distiller.state_dict()) == list(plain.state_dict())
    assert not teacher & {
        id(t) for t in (*distiller.parameters(), *distiller.buffers())}
    assert not any(is_accelerated(m) for m in distiller.modules())
    build_classifier(student()).load_state_dict(
        distiller.state_dict(), strict=True)


def test_a_run_with_ema_saves_the_plain_student(tmp_path):
    config = distiller_config(
        resnet(), resnet(), write_teacher(resnet(), tmp_path / 'teacher.pth'),
        teacher_speedup=dict())
    runner, losses = train_classifier(
        config, WRAPPER, tmp_path, runner_class=DistillRunner,
        train_cfg=dict(by_epoch=True, max_epochs=1), images=dict(images=4),
        custom_hooks=[dict(type='EMAHook')])
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    plain = set(build_classifier(resnet()).state_dict())

    assert len(losses) == 2 and is_accelerated(runner.model.teacher)
    assert ema.ema_model.module.teacher is runner.model.teacher
    assert set(saved['state_dict']) == plain
    assert {k.split('module.')[-1] for k in saved['ema_state_dict']
            } == plain | {'steps'}


def test_copies_share_one_teacher_and_its_change(tmp_path, logged):
    distiller, _ = pair(tmp_path, resnet())
    twin = copy.deepcopy(distiller)
    classifier_losses(twin)
    classifier_losses(distiller)

    assert twin.teacher is distiller.teacher
    assert sum('teacher_speedup: ' in text for text in logged) == 1


def test_the_student_inherits_what_was_loaded(tmp_path):
    inherit = dict(inherit=['backbone'])
    checkpoint = liven(write_teacher(resnet(), tmp_path / 'teacher.pth'))
    distiller = build_classifier(distiller_config(
        resnet(), resnet(), checkpoint, teacher_speedup=dict(),
        student_init=inherit))
    distiller.init_weights()
    saved = torch.load(checkpoint)['state_dict']
    own = distiller.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in saved.items()
               if name.startswith('backbone'))

    classifier_losses(distiller)
    with pytest.raises(RuntimeError, match=(
            'student_init inherits from the teacher, whose weights '
            'teacher_speedup has changed when it first ran: call '
            'init_weights before, or leave teacher_speedup out')):
        distiller.init_weights()


@pytest.mark.parametrize('first', [True, False])
def test_the_teacher_moves_before_and_after(first, tmp_path):
    distiller, plain = pair(tmp_path, resnet())
    if not first:
        classifier_losses(distiller)
    batches = [d.double().data_preprocessor(image_batch())['inputs'].double()
               for d in (distiller, plain)]
    found, expected = (d._run_teacher(x, []) for d, x in zip(
        (distiller, plain), batches))

    assert found.dtype == torch.float64
    # Folded in float32 where it ran before.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_error_in_the_option_is_the_distillers(tmp_path):
    with pytest.raises(ValueError, match="teacher_speedup has no 'fold'"):
        make_distiller(tmp_path, resnet(), resnet(),
                       teacher_speedup=dict(fold=True))


def test_two_views_run_it_twice(tmp_path):
    """The second view has a first batch no longer."""
    fast, plain = pair(tmp_path, resnet())
    views = [fast.data_preprocessor(image_batch(seed=s))['inputs']
             for s in (0, 1)]
    for x in views:
        torch.testing.assert_close(
            fast._run_teacher(x, []), plain._run_teacher(x, []))
