"""Every shipped config trains the method and the student of its name."""
import pytest

from .helpers.shipped import DISTILLING, LEAVES, shipped, split_name

LOSSES = dict(
    kd='KDLoss', lskd='KDLoss', dkd='DKDLoss', dkdmod='DKDModLoss',
    gdkd='GDKDLoss', gdkd3='GDKD3Loss', dist='DISTLoss', mlkd='MLKDLoss',
    crld='CRLDLoss')
# Its loss needs one class per image: no Mixup, no CutMix.
WITHOUT_MIXING = ('imagenet/deepkd_regnety16gf_deit_tiny.py', )


@pytest.mark.parametrize('name', DISTILLING)
def test_methods_are_what_the_names_say(name):
    cfg = shipped(name)
    folder, (first, *rest), _ = split_name(name)
    wrapper, losses = cfg.optim_wrapper, cfg.model.losses
    deepkd, decoupled = first == 'deepkd', first in ('deepkd', 'dot')
    # Of detectors the papers show DeepKD over DKD alone.
    over = 'dkd' if deepkd and folder in ('coco', 'custom', 'digits') else 'kd'
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


@pytest.mark.parametrize('name', [n for n in DISTILLING if 'coco' in n])
def test_coco_configs_have_the_published_weights(name):
    cfg = shipped(name)
    losses = cfg.model.losses

    assert losses.temperature == 1
    if '/gdkd_' in name:
        assert (losses.k, losses.weights) == (5, (1, 0.125, 0.25))
    elif '/kd_' not in name:
        assert (losses.alpha, losses.beta) == (1, 0.25)
    if '/deepkd_' in name:
        assert cfg.optim_wrapper.delta == 0.05
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_cfg.max_epochs == 12
    assert (cfg.optim_wrapper.optimizer.lr,
            cfg.optim_wrapper.optimizer.momentum) == (0.02, 0.9)
    assert cfg.model.teacher_checkpoint.startswith(
        'https://download.openmmlab.com/mmdetection/')
    teacher = cfg.model.teacher.split('/')[-1].split('_1x')[0]
    assert teacher.replace('-', '_') in cfg.model.teacher_checkpoint


@pytest.mark.parametrize('name', DISTILLING)
def test_the_student_is_the_baseline(name):
    """Siblings differ in the distillation, and a rate that suits it."""
    folder, _, networks = split_name(name)
    baseline = shipped(baseline_of(folder, networks))
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


def baseline_of(folder, networks):
    """Return the plain student of a pair such as 'vgg13_vgg8'."""
    students = [split_name(name)[2] for name in LEAVES
                if name.startswith(f'{folder}/baseline_')]
    student = max((s for s in students
                   if networks.endswith(s.replace('frcnn_', ''))), key=len)
    return f'{folder}/baseline_{student}.py'
