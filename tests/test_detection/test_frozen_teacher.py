"""The teacher is used, and nothing else happens to it."""
import copy
import gc

import pytest
import torch
from mmengine.model import BaseDataPreprocessor

from mmdeepkd.engine import DistillRunner
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    make_distiller,
    write_teacher,
)
from tests.helpers.training import (
    equal_tensors,
    loss_dict,
    run_training,
    train_steps,
)

# No tensor of the student has a side of this length.
TEACHER_WIDTH = 7


@pytest.fixture
def distiller(tmp_path):
    return make_distiller(tmp_path, faster_rcnn(),
                          faster_rcnn(width=TEACHER_WIDTH))


def teacher_stems():
    """Count the living parameters of the form of the teacher's stem."""
    gc.collect()
    return sum(
        isinstance(o, torch.Tensor) and o.shape == (TEACHER_WIDTH, 3, 7, 7)
        for o in gc.get_objects())


def test_training_leaves_the_teacher_byte_identical(distiller):
    before = copy.deepcopy(distiller.teacher.state_dict())
    student = copy.deepcopy(distiller.state_dict())
    train_steps(distiller, 3)

    assert any('running_mean' in name for name in before)
    assert equal_tensors(distiller.teacher.state_dict(), before)
    assert not equal_tensors(distiller.state_dict(), student)


def test_the_teacher_is_no_part_of_the_module(distiller):
    teacher = {id(t) for t in (*distiller.teacher.parameters(),
                               *distiller.teacher.buffers())}
    plain = build_detector(faster_rcnn())

    assert distiller.state_dict().keys() == plain.state_dict().keys()
    assert dict(distiller.named_parameters()).keys() == dict(
        plain.named_parameters()).keys()
    assert not teacher & {
        id(t) for t in (*distiller.parameters(), *distiller.buffers(),
                        *distiller.state_dict(keep_vars=True).values())}
    assert distiller.teacher not in list(distiller.modules())


def test_state_dict_keeps_the_versions_of_submodules(distiller):
    plain = build_detector(faster_rcnn()).state_dict()._metadata
    ours = distiller.state_dict()._metadata

    assert {k: v for k, v in ours.items() if not k.startswith('losses')
            } == plain


def test_the_teacher_stays_in_eval_and_frozen(distiller):
    for mode in (True, False, True):
        distiller.train(mode)
        assert not any(m.training for m in distiller.teacher.modules())
        assert distiller.backbone.training is mode
        assert distiller.student.training is mode
    assert not any(p.requires_grad for p in distiller.teacher.parameters())


def test_a_deep_copy_shares_the_teacher_and_nothing_else(distiller):
    twin = copy.deepcopy(distiller)
    before = copy.deepcopy(distiller.state_dict())
    train_steps(twin)

    assert twin.teacher is distiller.teacher
    assert twin.student is not distiller.student
    assert equal_tensors(distiller.state_dict(), before)
    # The copy's student and its flat view are one.
    assert twin.student.backbone is twin.backbone


def test_moving_a_copy_leaves_the_teacher_alone(distiller):
    twin = copy.deepcopy(distiller)
    twin.to('meta')
    twin.double()

    assert next(twin.parameters()).dtype == torch.float64
    teacher = next(distiller.teacher.parameters())
    assert (teacher.device.type, teacher.dtype) == ('cpu', torch.float32)
    distiller.double()
    assert next(distiller.teacher.parameters()).dtype == torch.float64


def test_the_ema_copy_holds_no_second_teacher(tmp_path):
    teacher = faster_rcnn(width=TEACHER_WIDTH)
    config = distiller_config(
        faster_rcnn(), teacher,
        write_teacher(teacher, tmp_path / 'teacher.pth'))
    held = teacher_stems()
    runner, _ = run_training(
        config,
        dict(
            type='mmdeepkd.DeepKDOptimWrapper',
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
            delta=0.05),
        tmp_path,
        iterations=2,
        runner_class=DistillRunner,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        scenes=dict(images=4),
        custom_hooks=[dict(type='EMAHook')])
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)

    assert ema.ema_model.module.teacher is runner.model.teacher
    assert teacher_stems() - held == 1
    plain = set(build_detector(faster_rcnn()).state_dict())
    assert set(saved['state_dict']) == plain
    assert {k.split('module.')[-1] for k in saved['ema_state_dict']
            } == plain | {'steps'}


@pytest.mark.parametrize('student, teacher, masks', [
    (faster_rcnn, faster_rcnn, False),
    (mask_rcnn, mask_rcnn, True),
    (cascade_rcnn, cascade_rcnn, False),
], ids=['faster', 'mask', 'cascade'])
def test_unused_parts_of_the_teacher_never_run(student, teacher, masks,
                                               tmp_path):
    def refuse(module, args):
        raise AssertionError(f'{type(module).__name__} of the teacher ran')

    distiller = make_distiller(tmp_path, student(), teacher())
    unused = [distiller.teacher.rpn_head, distiller.teacher]
    if masks:
        unused += [distiller.teacher.roi_head.mask_head,
                   distiller.teacher.roi_head.mask_roi_extractor]
    for module in unused:
        module.register_forward_pre_hook(refuse)
    log, = train_steps(distiller, batch=detection_batch(masks=masks))

    assert torch.isfinite(log['loss'])
    with pytest.raises(AssertionError, match='RPNHead of the teacher ran'):
        distiller.teacher.rpn_head([torch.zeros(1, 8, 4, 4)])


def test_the_teacher_runs_without_a_graph(distiller):
    outputs = []
    distiller.teacher.roi_head.bbox_head.register_forward_hook(
        lambda module, args, out: outputs.append(out[0]))
    loss_dict(distiller)

    assert len(outputs) == 1
    assert not outputs[0].requires_grad


def test_the_students_head_runs_once(distiller):
    calls = []
    distiller.roi_head.bbox_head.register_forward_hook(
        lambda *args: calls.append(1))
    loss_dict(distiller)

    assert len(calls) == 1


@pytest.mark.parametrize('move', [
    lambda m: m.to(torch.float64), lambda m: m.double(),
    lambda m: m.half(), lambda m: m.to('meta')
], ids=['to', 'double', 'half', 'meta'])
def test_the_teacher_moves_along(move, distiller):
    move(distiller)
    wanted = next(distiller.parameters())

    assert wanted.dtype != torch.float32 or wanted.device.type == 'meta'
    for tensor in distiller.teacher.parameters():
        assert (tensor.dtype, tensor.device) == (wanted.dtype, wanted.device)
    preprocessor = distiller.teacher.data_preprocessor
    assert preprocessor.mean.device == wanted.device


def test_the_teachers_preprocessor_knows_the_device(distiller):
    distiller.to('meta')
    models = (distiller, distiller.student, distiller.teacher)
    devices = [
        torch.device(m.data_preprocessor._device) for m in models
        if isinstance(m.data_preprocessor, BaseDataPreprocessor)
    ]

    assert devices == [torch.device('meta')] * 3


def test_the_student_starts_as_without_a_teacher(tmp_path):
    torch.manual_seed(3)
    plain = build_detector(faster_rcnn())
    plain.init_weights()
    after = torch.rand(3)
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn(width=6),
                               seed=3)

    assert equal_tensors(distiller.state_dict(), plain.state_dict())
    assert torch.equal(torch.rand(3), after)


def test_predictions_are_the_students(distiller):
    plain = build_detector(faster_rcnn())
    plain.load_state_dict(distiller.state_dict())
    batch = detection_batch()
    distiller.eval()
    plain.eval()
    ours, theirs = (m.test_step(copy.deepcopy(batch))
                    for m in (distiller, plain))
    data = plain.data_preprocessor(copy.deepcopy(batch))

    for one, other in zip(ours, theirs):
        assert len(one.pred_instances) > 0
        assert torch.equal(one.pred_instances.bboxes,
                           other.pred_instances.bboxes)
    with torch.no_grad():
        raw = [m(**copy.deepcopy(data), mode='tensor')
               for m in (distiller, plain)]
    assert torch.equal(raw[0][0][0], raw[1][0][0])
