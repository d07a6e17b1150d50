"""Every shipped config trains the method and the student of its name."""
from pathlib import Path

import pytest

from .helpers.shipped import (
    DISTILLING,
    LEAVES,
    OF_FEATURES,
    OF_LOGITS,
    losses_of,
    shipped,
    split_name,
)

LOSSES = dict(
    kd='KDLoss', lskd='KDLoss', dkd='DKDLoss', dkdmod='DKDModLoss',
    gdkd='GDKDLoss', gdkd3='GDKD3Loss', dist='DISTLoss', mlkd='MLKDLoss',
    crld='CRLDLoss')
# Its loss needs one class per image: no Mixup, no CutMix.
WITHOUT_MIXING = ('imagenet/deepkd_regnety16gf_deit_tiny.py', )
DETECTORS = ('frcnn', 'retinanet')
DETECTION = ('coco', 'custom', 'digits')


@pytest.mark.parametrize('name', OF_LOGITS)
def test_methods_are_what_the_names_say(name):
    cfg = shipped(name)
    folder, (first, *rest), _ = split_name(name)
    wrapper, losses = cfg.optim_wrapper, cfg.model.losses
    deepkd, decoupled = first == 'deepkd', first in ('deepkd', 'dot')
    # Of detectors the papers show DeepKD over DKD alone.
    over = 'dkd' if deepkd and folder in DETECTION else 'kd'
    base = (rest or [over if decoupled else first])[0]
    plugged = deepkd and base in ('kd', 'dkd')

    assert losses.type == 'mmdeepkd.' + (
        'DeepKDLoss' if plugged else LOSSES[base])
    if plugged:
        assert losses.base == base
    else:
        assert ('base' in losses) == (deepkd and base in ('mlkd', 'crld'))
    assert losses.get('standardize', False) == (base == 'lskd')
    assert (wrapper.type == 'mmdeepkd.DeepKDOptimWrapper') == decoupled
    assert ('delta' in wrapper or 'offsets' in wrapper) == decoupled
    if 'offsets' in wrapper:
        assert (wrapper.offsets.task < 0) == (first == 'dot')
    assert ('topk' in cfg.default_hooks) == (deepkd and base != 'gdkd')


@pytest.mark.parametrize('name', [
    n for n in OF_FEATURES if split_name(n)[1] == ('diffkd', )])
def test_diffkd_compares_maps_and_of_classifiers_logits(name):
    cfg = shipped(name)
    types = [loss.type for loss in losses_of(cfg)]
    detector = split_name(name)[0] in DETECTION

    assert types[0] == 'mmdeepkd.DiffKDLoss'
    assert types[1:] == (['mmdeepkd.DiffKDLogitsLoss']
                         if not detector else [])
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'delta' not in cfg.optim_wrapper
    assert 'topk' not in cfg.default_hooks
    assert cfg.model.get('task_weight', 1) == 1


@pytest.mark.parametrize('name', [
    n for n in OF_FEATURES if split_name(n)[1] == ('deepkd', 'diffkd')])
def test_deepkd_and_diffkd_is_deepkd_with_one_stream_more(name):
    cfg = shipped(name).to_dict()
    deepkd = shipped(name.replace('deepkd_diffkd_', 'deepkd_')).to_dict()
    logits, features = cfg['model'].pop('losses')
    wrapper = cfg.pop('optim_wrapper')
    plain = deepkd.pop('optim_wrapper')
    offsets = wrapper.pop('offsets')

    assert logits == deepkd['model'].pop('losses')
    assert features['type'] == 'mmdeepkd.DiffKDLoss'
    assert wrapper.pop('delta') is None
    delta = plain.pop('delta')
    assert offsets.pop('feature') != delta
    assert offsets == dict(task=delta, target=-delta, non_target=delta)
    assert wrapper == plain
    assert cfg == deepkd


@pytest.mark.parametrize('name', [n for n in OF_LOGITS if 'coco' in n])
def test_coco_losses_have_the_published_weights(name):
    cfg = shipped(name)
    losses = cfg.model.losses

    assert losses.temperature == 1
    if '/gdkd_' in name:
        assert (losses.k, losses.weights) == (5, (1, 0.125, 0.25))
    elif '/kd_' not in name:
        assert (losses.alpha, losses.beta) == (1, 0.25)
    if '/deepkd_' in name:
        assert cfg.optim_wrapper.delta == 0.05


@pytest.mark.parametrize('name', [n for n in DISTILLING if 'coco' in n])
def test_coco_has_the_schedule_and_the_teachers_of_mmdet(name):
    cfg = shipped(name)

    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_cfg.max_epochs == 12
    assert (cfg.optim_wrapper.optimizer.lr,
            cfg.optim_wrapper.optimizer.momentum) == (
                dict(frcnn=0.02, retinanet=0.01)[detector_of(name)], 0.9)
    assert cfg.model.teacher_checkpoint.startswith(
        'https://download.openmmlab.com/mmdetection/')
    teacher = Path(cfg.model.teacher).stem.replace('-', '_')
    assert f'/{teacher}/{teacher}_' in cfg.model.teacher_checkpoint


@pytest.mark.parametrize('name', DISTILLING)
def test_the_student_is_the_baseline(name):
    """Siblings differ in the distillation, and a rate that suits it."""
    folder = split_name(name)[0]
    baseline = shipped(baseline_of(name))
    cfg = shipped(name)

    if name not in WITHOUT_MIXING:
        assert cfg.model.student == baseline.model
    for key in ('default_scope', 'val_evaluator', 'val_dataloader'):
        assert cfg[key] == baseline[key]
    if folder in ('coco', 'digits'):
        for key in ('train_dataloader', 'train_cfg', 'param_scheduler',
                    'auto_scale_lr'):
            assert cfg[key] == baseline[key]
    assert dict(cfg.optim_wrapper.optimizer, lr=0) == dict(
        baseline.optim_wrapper.optimizer, lr=0)
    assert cfg.optim_wrapper.get('clip_grad') == (
        baseline.optim_wrapper.get('clip_grad'))


@pytest.mark.parametrize('name', [
    n for n in LEAVES if n.startswith('imagenet/diffkd_')])
def test_diffkd_on_imagenet_has_a_plain_student_of_its_own_recipe(name):
    cfg, baseline = shipped(name), shipped(baseline_of(name))

    assert '/baseline_diffkd_' in baseline_of(name)
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg',
                'train_dataloader', 'auto_scale_lr', 'data_preprocessor'):
        assert cfg[key] == baseline[key]
    # The other methods have another one.
    assert cfg.optim_wrapper != shipped(baseline_of(
        name.replace('diffkd', 'kd'))).optim_wrapper


def detector_of(name):
    """Return 'frcnn' or 'retinanet', None for a classifier."""
    kind = split_name(name)[2].split('_')[0]
    return kind if kind in DETECTORS else None


def baseline_of(name):
    """Return the plain student of a config of a pair."""
    folder, method, networks = split_name(name)
    detector = detector_of(name)
    if detector is not None:
        student = f'{detector}_{networks.split("_")[-1]}'
    else:
        students = [split_name(leaf)[2] for leaf in LEAVES
                    if leaf.startswith(f'{folder}/baseline_')]
        student = max((s for s in students if networks.endswith(s)), key=len)
    # Where a method was published with a recipe of its own.
    own = f'{folder}/baseline_{"_".join(method)}_{student}.py'
    return own if own in LEAVES else f'{folder}/baseline_{student}.py'
