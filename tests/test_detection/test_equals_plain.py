"""Without distillation weight training is plain mmdet, bit for bit."""
import copy
from unittest import mock

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DeepKDOptimWrapper,
    DistillRunner,
)
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    write_teacher,
)
from tests.helpers.training import equal_tensors, run_training

SILENT = dict(type='mmdeepkd.DeepKDLoss', base='dkd', alpha=0., beta=0.)
SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-3)
SCHEDULERS = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
    dict(type='MultiStepLR', by_epoch=False, milestones=[4], gamma=0.1)
]
PARAMWISE = dict(
    norm_decay_mult=0.,
    bias_lr_mult=2.,
    custom_keys={
        'backbone': dict(lr_mult=0.5),
        'roi_head.bbox_head': dict(decay_mult=0.3)
    })
CASES = {
    'plain': ({}, {}),
    'accumulation': (dict(accumulative_counts=2), {}),
    'clipping': (dict(clip_grad=dict(max_norm=1.)), {}),
    'paramwise': (dict(paramwise_cfg=PARAMWISE), {}),
    'dampening': (dict(optimizer=dict(SGD, dampening=0.1)), {}),
    'schedulers': ({}, dict(param_scheduler=SCHEDULERS)),
    'all': (dict(
        accumulative_counts=2,
        clip_grad=dict(max_norm=1.),
        paramwise_cfg=PARAMWISE), dict(param_scheduler=SCHEDULERS)),
}


def weights_of(runner):
    return runner.model.state_dict()


def train_both(student, tmp_path, wrapper=None, images=None, **kwargs):
    """Return (weights, losses) of plain mmdet and of a silent distiller."""
    # A teacher of another size draws other random numbers when it is built.
    teacher = faster_rcnn(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    wrapper = dict(optimizer=SGD, **(wrapper or {})) if (
        'optimizer' not in (wrapper or {})) else wrapper
    scenes = dict(images=10, **(images or {}))
    plain, plain_losses = run_training(
        student, dict(wrapper, type='OptimWrapper'), tmp_path / 'plain',
        scenes=scenes, **copy.deepcopy(kwargs))
    ours, our_losses = run_training(
        distiller_config(student, teacher, checkpoint, losses=SILENT),
        dict(wrapper, type='mmdeepkd.DeepKDOptimWrapper', delta=0.),
        tmp_path / 'ours', runner_class=DistillRunner, scenes=scenes,
        **copy.deepcopy(kwargs))
    return ((weights_of(plain), plain_losses), (weights_of(ours), our_losses))


@pytest.mark.parametrize('case', CASES)
def test_runner_equals_plain_mmdet(case, tmp_path):
    wrapper, runner = CASES[case]

    (plain, plain_losses), (ours, our_losses) = train_both(
        faster_rcnn(), tmp_path, wrapper, **runner)

    assert len(plain_losses) == 5
    assert our_losses == plain_losses
    assert equal_tensors(ours, plain)


def test_frozen_stages_equal_plain_mmdet(tmp_path):
    student = faster_rcnn()
    student['backbone']['frozen_stages'] = 2

    (plain, plain_losses), (ours, our_losses) = train_both(student, tmp_path)

    assert our_losses == plain_losses
    assert equal_tensors(ours, plain)


@pytest.mark.parametrize('student, masks', [(cascade_rcnn(), False),
                                            (mask_rcnn(), True)],
                         ids=['cascade', 'mask'])
def test_other_detectors_equal_plain_mmdet(student, masks, tmp_path):
    (plain, plain_losses), (ours, our_losses) = train_both(
        student, tmp_path, images=dict(masks=masks))

    assert our_losses == plain_losses
    assert equal_tensors(ours, plain)


def test_a_distillation_weight_changes_the_weights(tmp_path):
    # The comparison above can fail.
    with mock.patch.dict(SILENT, beta=1.):
        (plain, _), (ours, _) = train_both(faster_rcnn(), tmp_path)

    assert not equal_tensors(ours, plain)


def test_a_delta_changes_the_weights(tmp_path):
    teacher = faster_rcnn(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    config = distiller_config(faster_rcnn(), teacher, checkpoint,
                              losses=SILENT)
    wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', optimizer=SGD)
    runs = [
        run_training(config, dict(wrapper, delta=delta), tmp_path)[0]
        for delta in (0., 0.05)
    ]

    assert not equal_tensors(*map(weights_of, runs))


def to_float(module, args):
    return tuple(
        tuple(x.float() for x in a) if isinstance(a, (tuple, list)) else a
        for a in args)


def add_casts(model):
    """Give mmcv's operators, which have no bfloat16 on CPU, float32."""
    model.rpn_head.register_forward_hook(
        lambda module, args, out: tuple([x.float() for x in maps]
                                        for maps in out))
    model.roi_head.bbox_roi_extractor.register_forward_pre_hook(to_float)


def bf16_run(model, wrapper, context):
    """Build, seed and train as MMEngine's Runner does."""
    model.init_weights()
    add_casts(model)
    model.train()
    batches = [detection_batch(seed=i) for i in range(5)]
    losses = []
    for batch in batches:
        with context():
            data = model.data_preprocessor(batch, training=True)
            total, log = model.parse_losses(model(**data, mode='loss'))
        wrapper.update_params(total)
        losses.append(float(total.detach()))
    return losses, model.state_dict()


def sgd(model):
    return torch.optim.SGD(
        model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)


def test_bfloat16_equals_plain_mmdet_with_the_same_casts(tmp_path):
    teacher = faster_rcnn(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    torch.manual_seed(0)
    plain = build_detector(faster_rcnn())
    plain_run = bf16_run(
        plain, OptimWrapper(sgd(plain)),
        lambda: torch.autocast('cpu', dtype=torch.bfloat16))
    torch.manual_seed(0)
    distiller = build_detector(
        distiller_config(faster_rcnn(), teacher, checkpoint, losses=SILENT))
    add_casts(distiller.teacher)
    wrapper = AmpDeepKDOptimWrapper(
        sgd(distiller), delta=0., dtype='bfloat16')
    our_run = bf16_run(distiller, wrapper,
                       lambda: wrapper.optim_context(distiller))

    assert our_run[0] == plain_run[0]
    assert equal_tensors(our_run[1], plain_run[1])


def test_bfloat16_is_in_use(tmp_path):
    distiller = build_detector(
        distiller_config(
            faster_rcnn(), faster_rcnn(),
            write_teacher(faster_rcnn(), tmp_path / 'teacher.pth')))
    seen = []
    distiller.backbone.register_forward_hook(
        lambda module, args, out: seen.append(out[0].dtype))
    add_casts(distiller.teacher)
    wrapper = AmpDeepKDOptimWrapper(
        sgd(distiller), delta=0.05, dtype='bfloat16')
    losses, _ = bf16_run(distiller, wrapper,
                         lambda: wrapper.optim_context(distiller))

    assert seen == [torch.bfloat16] * 5
    assert torch.tensor(losses).isfinite().all()


@pytest.mark.parametrize('loss', [
    dict(type='mmdeepkd.KDLoss'),
    dict(type='mmdeepkd.DKDLoss'),
    dict(type='mmdeepkd.DeepKDLoss')
], ids=lambda loss: loss['type'])
def test_trains_under_mmengines_own_wrapper(loss, tmp_path):
    """The undecoupled baseline equals ours with delta 0."""
    checkpoint = write_teacher(faster_rcnn(), tmp_path / 'teacher.pth')
    config = distiller_config(
        faster_rcnn(), faster_rcnn(), checkpoint, losses=loss)
    official, official_losses = run_training(
        config, dict(type='OptimWrapper', optimizer=SGD), tmp_path, 3)
    ours, our_losses = run_training(
        config, dict(type=DeepKDOptimWrapper, optimizer=SGD, delta=0.),
        tmp_path, 3)

    assert our_losses == official_losses
    for name, value in weights_of(official).items():
        torch.testing.assert_close(
            weights_of(ours)[name], value, rtol=1e-4, atol=1e-6)
