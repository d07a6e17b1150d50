"""Losses on features beside the detector's own and those on logits."""
import copy

import pytest
import torch

from mmdeepkd.distillers.speedup import AcceleratedModule
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    make_distiller,
    write_teacher,
)
from tests.helpers.one_stage import detr, retinanet
from tests.helpers.teacher_pairs import four_convs, pair
from tests.helpers.training import (
    distilled,
    equal_tensors,
    loss_dict,
    run_training,
    train_steps,
)

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
SILENT = dict(DIFFKD, loss_weight=0.)
OFF = dict(SILENT, diffusion_weight=0., autoencoder_weight=0.)
DEEPKD = dict(type='mmdeepkd.DeepKDLoss', base='dkd')
SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-3)
STUDENTS = {
    'faster': (faster_rcnn, faster_rcnn),
    'cascade': (cascade_rcnn, cascade_rcnn),
    'mask': (mask_rcnn, faster_rcnn),
}


def plain_state(model):
    return {name: value for name, value in model.state_dict().items()
            if not name.startswith('distill.')}


def losses_of(distiller, batch=None, distilled_only=False):
    torch.manual_seed(0)
    losses = loss_dict(distiller, batch)
    return distilled(losses) if distilled_only else losses


@pytest.mark.parametrize('pair', STUDENTS)
def test_beside_logits_both_are_what_they_are_alone(pair, tmp_path):
    student, teacher = STUDENTS[pair]
    batch = detection_batch(masks=pair == 'mask')
    found = {}
    for losses in ([DEEPKD, DIFFKD], [DEEPKD], [DIFFKD]):
        distiller = make_distiller(
            tmp_path, student(), teacher(width=6), losses=losses)
        found[len(found)] = losses_of(distiller, batch)
    both, *alone = found.values()

    assert any('loss_deepkd' in name for name in both)
    assert {f'feature.loss_diffkd_level{i}' for i in range(5)} < set(both)
    assert {f'diffkd_gamma_level{i}' for i in range(5)} < set(both)
    assert set(both) == set(alone[0]) | set(alone[1])
    for losses in alone:
        for name, value in losses.items():
            if name in distilled(both):
                assert torch.equal(value, both[name]), name


@pytest.mark.parametrize('pair', STUDENTS)
def test_streams_sum_to_the_total(pair, tmp_path):
    student, teacher = STUDENTS[pair]
    distiller = make_distiller(
        tmp_path, student(), teacher(), losses=[DEEPKD, DIFFKD])
    total, log = distiller.parse_losses(
        loss_dict(distiller, detection_batch(masks=pair == 'mask')))

    assert set(total.streams) == {'task', 'target', 'non_target', 'feature'}
    torch.testing.assert_close(sum(total.streams.values()), total)
    torch.testing.assert_close(
        sum(sum(parts.values()) for parts in total.parts.values()), total)
    assert set(total.parts['feature']) == {
        'feature.loss_diffkd_diffusion', 'feature.loss_diffkd_autoencoder',
        *(f'feature.loss_diffkd_level{i}' for i in range(5))}
    assert all(0 < float(log[f'diffkd_gamma_level{i}']) < 1
               for i in range(5))


def test_one_iteration_trains_with_both(tmp_path):
    distiller = make_distiller(
        tmp_path, cascade_rcnn(), cascade_rcnn(width=6, channels=12),
        losses=[DEEPKD, DIFFKD])
    before = copy.deepcopy(distiller.state_dict())
    log, = train_steps(distiller)

    assert torch.stack(list(log.values())).isfinite().all()
    assert distiller.num_logits == 4
    moved = {name.split('.')[0] for name, value in
             distiller.state_dict().items() if not torch.equal(
                 value, before[name])}
    assert moved == {'backbone', 'neck', 'rpn_head', 'roi_head', 'distill'}


@pytest.mark.parametrize('student', [faster_rcnn, retinanet, detr])
def test_the_student_starts_and_draws_as_without(student, tmp_path):
    torch.manual_seed(3)
    plain = build_detector(student())
    plain.init_weights()
    after = torch.rand(3)
    distiller = make_distiller(
        tmp_path, student(), faster_rcnn(width=6), seed=3, losses=DIFFKD)

    assert torch.equal(torch.rand(3), after)
    assert equal_tensors(plain_state(distiller), plain.state_dict())
    own = losses_of(distiller)
    state = torch.get_rng_state()
    expected = losses_of(plain)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(expected) < set(own)
    for name, value in plain.parse_losses(expected)[1].items():
        if name != 'loss':
            assert torch.equal(distiller.parse_losses(own)[1][name], value)


def train_both(student, folder, losses, **wrapper):
    """Return (weights, losses) of plain mmdet and of a distiller."""
    teacher = faster_rcnn(width=6)
    plain, log = run_training(
        student, dict(type='OptimWrapper', optimizer=SGD, **wrapper),
        folder / 'plain', 4)
    ours, our_log = run_training(
        distiller_config(
            student, teacher, write_teacher(teacher, folder / 'teacher.pth'),
            losses=losses),
        dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0., optimizer=SGD,
             **wrapper), folder / 'ours', 4)
    names = set(log[0]) - {'loss'}
    return [(plain_state(runner.model),
             [{name: step[name] for name in names} for step in steps])
            for runner, steps in ((plain, log), (ours, our_log))]


@pytest.mark.parametrize('student', [faster_rcnn, cascade_rcnn, retinanet])
def test_without_weight_training_equals_plain_mmdet(student, tmp_path):
    plain, ours = train_both(student(), tmp_path, SILENT)

    assert len(plain[1]) == 4
    assert ours[1] == plain[1]
    assert equal_tensors(ours[0], plain[0])


def test_without_weight_a_transformer_differs_by_rounding(tmp_path):
    """Zeros that are added to a transposed gradient change its layout."""
    plain, ours = train_both(detr(), tmp_path, SILENT)

    assert ours[1][0] == plain[1][0]
    for name, value in plain[0].items():
        torch.testing.assert_close(
            ours[0][name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('losses, same', [(OFF, True), (SILENT, False)])
def test_clipping_with_every_weight_off(losses, same, tmp_path):
    """The norm is over the adapters too, whose own losses have gradients."""
    plain, ours = train_both(
        retinanet(), tmp_path, losses, clip_grad=dict(max_norm=0.5))
    close = [torch.allclose(ours[0][name], value, rtol=1e-5, atol=1e-7)
             for name, value in plain[0].items()]

    assert all(close) == same


def test_a_weight_changes_the_weights(tmp_path):
    # The comparison above can fail.
    plain, ours = train_both(retinanet(), tmp_path, DIFFKD)

    assert not equal_tensors(ours[0], plain[0])


@pytest.mark.parametrize('student', [faster_rcnn, retinanet])
def test_the_gradient_reaches_backbone_and_neck_alone(student, tmp_path):
    distiller = make_distiller(
        tmp_path, student(), faster_rcnn(width=6), losses=DIFFKD)
    losses = loss_dict(distiller)
    sum(value for name, value in losses.items()
        if name.startswith('feature.loss_diffkd_level')).backward()
    reached = {name.split('.')[0] for name, value in
               distiller.named_parameters()
               if value.grad is not None and value.grad.any()}

    assert reached == {'backbone', 'neck', 'distill'}


def convolutional():
    config = four_convs()
    config['backbone'].update(base_channels=6, stem_channels=6)
    config['neck']['in_channels'] = [6, 12, 24, 48]
    return config


TEACHERS = {
    'features': (DIFFKD, convolutional, ['backbone', 'neck']),
    'both': ([DEEPKD, DIFFKD], convolutional,
             ['backbone', 'neck', 'roi_head.bbox_head']),
    # Smaller maps are normalised over too few elements to be compared.
    'one stage': (dict(DIFFKD, levels=[1, 2]), retinanet,
                  ['backbone', 'neck']),
}


@pytest.mark.parametrize('case', TEACHERS)
@pytest.mark.parametrize('amp, tolerance', [(None, 1e-3), ('bf16', 0.1)])
def test_a_faster_teacher_gives_the_same(case, amp, tolerance, tmp_path):
    losses, teacher, roots = TEACHERS[case]
    fast, plain = pair(
        tmp_path, teacher(), faster_rcnn(norm_eval=True), losses=losses,
        amp=amp)
    found, expected = (losses_of(d, distilled_only=True)
                       for d in (fast, plain))

    assert [name for name, module in fast.teacher.named_modules()
            if isinstance(module, AcceleratedModule)] == roots
    for name, value in expected.items():
        assert float(found[name].detach()) == pytest.approx(
            float(value.detach()), rel=tolerance), name


def test_the_maps_before_the_neck_of_one_stage_stay_channels_last(tmp_path):
    fast, _ = pair(tmp_path, retinanet(), retinanet(), losses=DIFFKD)
    formats = []
    losses_of(fast)
    fast.teacher.neck.register_forward_pre_hook(
        lambda module, args: formats.extend(
            m.is_contiguous(memory_format=torch.channels_last)
            for m in args[0]))
    losses_of(fast)

    assert formats == [True] * 4


def test_a_student_in_channels_last_gives_the_same(tmp_path):
    found = []
    for channels_last in (True, False):
        distiller = make_distiller(
            tmp_path, retinanet(), faster_rcnn(), losses=DIFFKD,
            channels_last=channels_last)
        found.append(losses_of(distiller, distilled_only=True))

    for name, value in found[1].items():
        torch.testing.assert_close(
            found[0][name], value, rtol=1e-3, atol=1e-5)


def test_bfloat16_trains(tmp_path):
    distiller = make_distiller(
        tmp_path, retinanet(), retinanet(width=6), losses=DIFFKD)
    seen = []
    distiller.losses[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.extend(m.dtype for m in args[1:3]),
        with_kwargs=True)
    # mmdet's anchors and targets are float32.
    distiller.bbox_head.register_forward_hook(
        lambda module, args, out: tuple([m.float() for m in maps]
                                        for maps in out))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = loss_dict(distiller)
    total, log = distiller.parse_losses(losses)
    total.backward()

    assert set(seen) == {torch.bfloat16}
    assert all(value.dtype == torch.float32
               for value in distilled(losses).values())
    assert torch.stack(list(log.values())).isfinite().all()
    for name, value in distiller.named_parameters():
        assert value.grad is None or value.grad.isfinite().all(), name


def test_nothing_of_an_iteration_outlives_it(tmp_path):
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(), losses=[DEEPKD, DIFFKD])
    loss_dict(distiller)
    # A tensor with a graph would refuse to be copied.
    twin = copy.deepcopy(distiller)
    before = copy.deepcopy(distiller.state_dict())
    train_steps(twin)

    assert equal_tensors(distiller.state_dict(), before)
    assert twin.distill is not distiller.distill
    for model in (distiller, twin):
        assert not model.neck._forward_hooks
        assert not model.teacher.neck._forward_hooks


def test_a_failed_iteration_leaves_nothing_behind(tmp_path):
    distiller = make_distiller(
        tmp_path, retinanet(), retinanet(), losses=DIFFKD)
    handle = distiller.bbox_head.register_forward_pre_hook(
        lambda module, args: (_ for _ in ()).throw(RuntimeError('stop')))
    with pytest.raises(RuntimeError, match='stop'):
        loss_dict(distiller)
    handle.remove()

    assert not distiller.neck._forward_hooks
    assert len(distilled(loss_dict(distiller))) == 7


def test_a_batch_of_one_small_image_is_explained(tmp_path):
    """Its last map has a single element, of which BatchNorm knows nothing."""
    distiller = make_distiller(
        tmp_path, retinanet(norm_eval=True), retinanet(), losses=DIFFKD)
    with pytest.raises(ValueError, match=(
            'a BatchNorm of DiffKDLoss got a single value per channel')):
        loss_dict(distiller, detection_batch(images=1))
