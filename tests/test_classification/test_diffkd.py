"""Feature losses of a classifier: streams, names, and a student as before."""
import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_checkpoint

from mmdeepkd.engine import DistillRunner
from tests.helpers.classifier_runs import (
    classifier_losses,
    classifier_steps,
    train_classifier,
)
from tests.helpers.classifiers import (
    MIXING,
    build_classifier,
    distiller_config,
    image_batch,
    make_distiller,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.distilled_classifiers import (
    DIFFKD,
    LOGITS,
    plain_tensors,
    with_dropout,
)
from tests.helpers.training import equal_tensors

KD = dict(type='mmdeepkd.KDLoss')
DKD = dict(type='mmdeepkd.DKDLoss')
DEEPKD = dict(type='mmdeepkd.DeepKDLoss')
MAPS = {'feature.loss_diffkd', 'feature.loss_diffkd_diffusion',
        'feature.loss_diffkd_autoencoder', 'diffkd_gamma'}
LOGIT = {'feature.loss_diffkd_logits', 'feature.loss_diffkd_logits_diffusion',
         'diffkd_logits_gamma'}
COMBINED = pytest.mark.parametrize('others, names', [
    ([], set()),
    ([KD], {'distill.loss_kd'}),
    ([DKD], {'target.loss_dkd', 'non_target.loss_dkd'}),
    ([DEEPKD], {'target.loss_deepkd', 'non_target.loss_deepkd'}),
], ids=['alone', 'KD', 'DKD', 'DeepKD'])
FEATURES = pytest.mark.parametrize('feature', [DIFFKD, LOGITS],
                                   ids=['maps', 'logits'])


@COMBINED
@pytest.mark.parametrize('features, own', [
    ([DIFFKD], MAPS), ([LOGITS], LOGIT), ([DIFFKD, LOGITS], MAPS | LOGIT)],
    ids=['maps', 'logits', 'both'])
def test_the_parts_are_the_total(features, own, others, names, tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(width=6),
                               losses=[*others, *features], task_weight=0.5)
    losses = classifier_losses(distiller)
    total, log = distiller.parse_losses(losses)

    assert set(losses) == {'loss_cls'} | own | names
    assert set(total.streams) == {
        'task', 'feature', *(name.split('.')[0] for name in names)}
    assert set(total.parts['feature']) == {
        name for name in own if 'loss' in name}
    torch.testing.assert_close(sum(total.streams.values()), total.detach(),
                               rtol=1e-6, atol=0, check_device=False)
    for stream, parts in total.parts.items():
        torch.testing.assert_close(sum(parts.values()), total.streams[stream])
    assert all(0 < float(log[name].detach()) < 1 for name in own
               if 'gamma' in name)
    assert not any(log[name].requires_grad for name in own if 'gamma' in name)


@FEATURES
def test_the_gradient_reaches_student_and_adapter(feature, tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(width=6),
                               losses=feature)
    distiller.train()
    total, _ = distiller.parse_losses(classifier_losses(distiller))
    total.streams['feature'].backward()

    assert distiller.backbone.conv1.weight.grad.abs().max() > 0
    assert all(p.grad is not None for p in distiller.distill.parameters())
    # The maps are before the head, the logits after it.
    assert (distiller.head.fc.weight.grad is None) == (feature is DIFFKD)
    assert all(p.grad is None for p in distiller.teacher.parameters())


@pytest.mark.parametrize('student, feature', [
    (with_dropout(), DIFFKD), (with_dropout(), LOGITS),
    (timm_net(drop_rate=0.4), LOGITS)], ids=['maps', 'logits', 'timm'])
def test_student_and_other_losses_start_as_without(student, feature, tmp_path):
    ours, plain = (make_distiller(tmp_path, copy.deepcopy(student),
                                  resnet(width=6), losses=losses)
                   for losses in ([DEEPKD, feature], [DEEPKD]))
    assert equal_tensors(plain_tensors(ours.state_dict()), plain.state_dict())
    found, expected = [], []
    for distiller, losses in ((ours, found), (plain, expected)):
        torch.manual_seed(5)
        distiller.train()
        losses.append(classifier_losses(distiller))
        losses.append(torch.rand(2))

    for name, value in expected[0].items():
        assert torch.equal(found[0][name], value)
    assert torch.equal(found[1], expected[1])


@FEATURES
def test_without_weight_the_student_trains_as_plain(feature, tmp_path):
    teacher = resnet(width=6)
    checkpoint = write_teacher(teacher, tmp_path / 'teacher.pth')
    wrapper = dict(optimizer=dict(
        type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-3))
    student = with_dropout(train_cfg=MIXING)
    plain, expected = train_classifier(
        student, dict(wrapper, type='OptimWrapper'), tmp_path / 'plain')
    ours, found = {}, {}
    for weight in (0., 1.):
        runner, found[weight] = train_classifier(
            distiller_config(student, teacher, checkpoint,
                             losses=dict(feature, loss_weight=weight)),
            dict(wrapper, type='mmdeepkd.DeepKDOptimWrapper', delta=0.),
            tmp_path / str(weight), runner_class=DistillRunner)
        ours[weight] = plain_tensors(runner.model.state_dict())

    assert len(expected) == 5
    assert [step['loss_cls'] for step in found[0.]] == [
        step['loss'] for step in expected]
    assert equal_tensors(ours[0.], plain.model.state_dict())
    # The comparison can fail.
    assert not equal_tensors(ours[1.], plain.model.state_dict())


def test_the_diffusion_model_is_trained_all_the_same(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(width=6),
                               losses=dict(DIFFKD, loss_weight=0.))
    before = copy.deepcopy(distiller.state_dict())
    classifier_steps(distiller, 2)
    moved = {name.split('.')[3] for name, value in
             distiller.state_dict().items() if name.startswith('distill.')
             and not torch.equal(value, before[name])}

    assert {'denoiser', 'autoencoder', 'num_draws'} <= moved


@FEATURES
def test_predictions_are_the_students_alone(feature, tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(), losses=feature)
    called = []
    for module in (*distiller.distill.modules(), *distiller.losses):
        module.register_forward_pre_hook(
            lambda module, args: called.append(module))
    images = distiller.data_preprocessor(image_batch())['inputs']
    distiller.eval()
    assert torch.equal(distiller(images), distiller.student(images))
    distiller.test_step(image_batch())
    distiller.val_step(image_batch())
    assert called == [] and not distiller.backbone._forward_hooks

    classifier_losses(distiller)
    assert called and not distiller.backbone._forward_hooks


def test_an_average_of_the_distiller_after_an_iteration(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(),
                               losses=[KD, DIFFKD, LOGITS])
    classifier_steps(distiller)
    average = ExponentialMovingAverage(distiller)

    assert average.module.teacher is distiller.teacher
    assert equal_tensors(average.module.state_dict(), distiller.state_dict())
    assert average.module.distill is not distiller.distill


def test_logits_are_those_of_the_students_classes(tmp_path):
    mapping = [6, 0, 3, 2, 5]
    distiller = make_distiller(tmp_path, resnet(), resnet(7), losses=LOGITS,
                               teacher_class_map=mapping)
    seen = []
    distiller.losses[0].register_forward_pre_hook(
        lambda module, args: seen.extend(args))
    batch = image_batch()
    classifier_losses(distiller, batch)
    images = distiller.data_preprocessor(batch)['inputs']

    assert seen[0] is distiller.distill.diffkd_logits.logits
    assert torch.equal(seen[2], distiller.teacher(images)[:, mapping])
    assert seen[1].shape == (4, 5)


@FEATURES
def test_double_precision(feature, tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(), losses=feature)
    distiller.double()
    data = distiller.data_preprocessor(image_batch(), True)
    losses = distiller(data['inputs'].double(), data['data_samples'], 'loss')

    assert {value.dtype for value in losses.values()} == {torch.float64}


@pytest.mark.parametrize('load', [
    lambda model, path: load_checkpoint(model, path, strict=True),
    lambda model, path: model.load_state_dict(
        torch.load(path, weights_only=True)['state_dict']),
], ids=['mmengine', 'torch'])
def test_files_of_a_timm_student(load, tmp_path):
    source, other = (make_distiller(tmp_path, timm_net(), resnet(),
                                    losses=[KD, LOGITS], seed=seed)
                     for seed in (1, 0))
    classifier_steps(source)
    path = str(tmp_path / 'net.pth')
    torch.save(dict(state_dict=source.state_dict()), path)
    plain = build_classifier(timm_net())
    load(other, path)

    assert equal_tensors(other.state_dict(), source.state_dict())
    assert set(plain_tensors(source.state_dict())) == set(plain.state_dict())
    assert int(other.state_dict()['distill.diffkd_logits.logits.num_draws']
               ) == 1
    # Timm's own names, and timm's own model reads them.
    plain.model.load_state_dict(plain_tensors(source.state_dict()))
    # A teacher that was distilled itself.
    taught = build_classifier(distiller_config(resnet(), timm_net(), path))
    assert equal_tensors(taught.teacher.state_dict(), plain.state_dict())


def test_a_batch_of_one(tmp_path):
    """On a map of 1x1; the student's own BatchNorms are frozen."""
    distiller = make_distiller(
        tmp_path, resnet(norm_eval=True), resnet(), losses=DIFFKD)
    distiller.train()
    with pytest.raises(ValueError, match=(
            'a BatchNorm of DiffKDLoss got a single value per channel.*'
            'set drop_last=True in train_dataloader')):
        classifier_losses(distiller, image_batch(images=1))
