"""Without distillation weight training is plain mmpretrain, bit for bit."""
import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmdeepkd.engine import AmpDeepKDOptimWrapper, DistillRunner
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    MIXING,
    build_classifier,
    distiller_config,
    image_batch,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.training import equal_tensors

SILENT = dict(type='mmdeepkd.KDLoss', loss_weight=0.)
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
        'head': dict(decay_mult=0.3)
    })
CASES = {
    'plain': ({}, {}),
    'accumulation': (dict(accumulative_counts=2), {}),
    'clipping': (dict(clip_grad=dict(max_norm=1.)), {}),
    'paramwise': (dict(paramwise_cfg=PARAMWISE), {}),
    'schedulers': ({}, dict(param_scheduler=SCHEDULERS)),
    'all': (dict(
        accumulative_counts=2,
        clip_grad=dict(max_norm=1.),
        paramwise_cfg=PARAMWISE), dict(param_scheduler=SCHEDULERS)),
}


def weights_of(runner):
    return runner.model.state_dict()


def totals(losses):
    """Ours have the name loss_cls beside the total, mmpretrain's has not."""
    return [step['loss'] for step in losses]


def train_both(student, tmp_path, wrapper=None, loss=SILENT, **kwargs):
    """Return (weights, losses) of plain mmpretrain and of a distiller."""
    # A teacher of another size draws other random numbers when it is built.
    teacher = resnet(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    wrapper = dict(optimizer=SGD, **(wrapper or {}))
    plain, plain_losses = train_classifier(
        student, dict(wrapper, type='OptimWrapper'), tmp_path / 'plain',
        **copy.deepcopy(kwargs))
    ours, our_losses = train_classifier(
        distiller_config(student, teacher, checkpoint, losses=loss),
        dict(wrapper, type='mmdeepkd.DeepKDOptimWrapper', delta=0.),
        tmp_path / 'ours', runner_class=DistillRunner,
        **copy.deepcopy(kwargs))
    return ((weights_of(plain), totals(plain_losses)),
            (weights_of(ours), totals(our_losses)))


@pytest.mark.parametrize('case', CASES)
def test_runner_equals_plain_mmpretrain(case, tmp_path):
    wrapper, runner = CASES[case]

    (plain, plain_losses), (ours, our_losses) = train_both(
        resnet(), tmp_path, wrapper, **runner)

    assert len(plain_losses) == 5
    assert our_losses == plain_losses
    assert equal_tensors(ours, plain)


@pytest.mark.parametrize('student', [
    resnet(train_cfg=MIXING),
    timm_net(),
    timm_net(train_cfg=MIXING),
    resnet(head=dict(loss=dict(
        type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1,
        num_classes=5))),
], ids=['mixing', 'timm', 'mixed timm', 'smoothing'])
def test_other_classifiers_equal_plain_mmpretrain(student, tmp_path):
    (plain, plain_losses), (ours, our_losses) = train_both(
        student, tmp_path, iterations=3)

    assert our_losses == plain_losses
    assert equal_tensors(ours, plain)


def test_a_distillation_weight_changes_the_weights(tmp_path):
    # The comparison above can fail.
    (plain, _), (ours, _) = train_both(
        resnet(), tmp_path, loss=dict(type='mmdeepkd.KDLoss'))

    assert not equal_tensors(ours, plain)


def bf16_run(model, wrapper, context):
    """Build, seed and train as MMEngine's Runner does."""
    model.init_weights()
    model.train()
    losses = []
    for seed in range(3):
        with context():
            data = model.data_preprocessor(
                image_batch(seed=seed), training=True)
            total, _ = model.parse_losses(model(**data, mode='loss'))
        wrapper.update_params(total)
        losses.append(float(total.detach()))
    return losses, model.state_dict()


def sgd(model):
    return torch.optim.SGD(
        model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)


def test_bfloat16_equals_plain_mmpretrain(tmp_path):
    teacher = resnet(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    torch.manual_seed(0)
    plain = build_classifier(resnet())
    plain_run = bf16_run(
        plain, OptimWrapper(sgd(plain)),
        lambda: torch.autocast('cpu', dtype=torch.bfloat16))
    torch.manual_seed(0)
    distiller = build_classifier(
        distiller_config(resnet(), teacher, checkpoint, losses=SILENT))
    seen = []
    distiller.head.register_forward_hook(
        lambda module, args, out: seen.append(out.dtype))
    wrapper = AmpDeepKDOptimWrapper(
        sgd(distiller), delta=0., dtype='bfloat16')
    our_run = bf16_run(distiller, wrapper,
                       lambda: wrapper.optim_context(distiller))

    assert seen == [torch.bfloat16] * 3
    assert our_run[0] == plain_run[0]
    assert equal_tensors(our_run[1], plain_run[1])


def test_bfloat16_distils_in_float32(tmp_path):
    checkpoint = write_teacher(resnet(), tmp_path / 'teacher.pth')
    distiller = build_classifier(
        distiller_config(resnet(), resnet(), checkpoint))
    distiller.train()
    wrapper = AmpDeepKDOptimWrapper(
        sgd(distiller), delta=0.05, dtype='bfloat16')
    log = distiller.train_step(image_batch(), wrapper)

    assert log['target.loss_deepkd'].dtype == torch.float32
    assert torch.stack(list(log.values())).isfinite().all()
