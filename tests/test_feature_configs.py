"""The shipped configs that distil features train, on images of noise."""
import copy
import shutil

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from .helpers.batches import detection_batch
from .helpers.classifiers import image_batch
from .helpers.shipped import (
    OF_FEATURES,
    Teachers,
    build,
    losses_of,
    shipped,
    split_name,
)

# {folder: (classes, side of the images)}: large enough for every stride.
IMAGES = dict(coco=(80, 64), custom=(3, 64), digits=(10, 64),
              digits100=(100, 16), cifar100=(100, 32), imagenet=(1000, 64))
DETECTION = ('coco', 'custom', 'digits')


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teachers')
    yield Teachers(folder)
    shutil.rmtree(folder)  # Hundreds of megabytes.


def batch_of(name):
    folder = name.split('/')[0]
    classes, side = IMAGES[folder]
    if folder in DETECTION:
        return detection_batch(size=side, num_classes=classes)
    return image_batch(images=4, size=side, num_classes=classes)


def two_iterations(name, teachers, cfg=None):
    """Return the model, its logs, and its weights that are left as is."""
    cfg = copy.deepcopy(cfg or shipped(name))
    torch.manual_seed(0)
    config = teachers.model_of(cfg)
    if 'clip_grad' not in cfg.optim_wrapper:
        # As in a warm-up: at the full rate random weights can diverge at
        # once; clipped and at a small rate some would not move at all.
        cfg.optim_wrapper.optimizer.lr *= 0.01
    # Random initialisation in place of a download.
    config.student.backbone.pop('init_cfg', None)
    model = build(config, cfg.default_scope).train()
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    # A bias before a BatchNorm gets no gradient.
    weights = {name: parameter.detach().clone()
               for name, parameter in model.named_parameters()
               if parameter.ndim > 1 and parameter.requires_grad}
    logs = [model.train_step(copy.deepcopy(batch_of(name)), wrapper)
            for _ in range(2)]
    still = [name for name, parameter in model.named_parameters()
             if name in weights and torch.equal(weights[name], parameter)]
    assert {name.split('.')[0] for name in weights} > {'backbone', 'distill'}
    return model, logs, still


def logged_by(name):
    """Return all that the distillation of a shipped config logs."""
    keys = set()
    for loss in losses_of(shipped(name)):
        method = dict(DiffKDLoss='diffkd', DiffKDLogitsLoss='diffkd_logits')[
            loss.type.split('.')[1]] if 'DiffKD' in loss.type else None
        if method is None:
            keys |= {'target.loss_deepkd', 'non_target.loss_deepkd'}
            continue
        keys |= {f'feature.loss_{method}_diffusion'}
        if method == 'diffkd':
            keys |= {'feature.loss_diffkd_autoencoder'}
        # One place has no name.
        for place in [f'_level{i}' for i in range(levels_of(name))] or ['']:
            keys |= {f'feature.loss_{method}{place}',
                     f'{method}_gamma{place}'}
    return keys


def levels_of(name):
    """Return how many levels student and teacher share, 0 of classifiers."""
    folder, _, networks = split_name(name)
    if folder not in DETECTION:
        return 0
    return 4 if folder == 'digits' or networks == 'small' else 5


@pytest.mark.parametrize('name', OF_FEATURES)
def test_two_iterations_train_student_and_adapters(name, teachers):
    _, logs, still = two_iterations(name, teachers)
    wanted = logged_by(name)

    for log in logs:
        assert [name for name, value in log.items()
                if not torch.isfinite(value)] == []
        # What no plain student logs: streams beside the task's, and gamma.
        assert {key for key in log
                if '.loss' in key or 'diffkd' in key} == wanted
        assert all(log[key] > 0 for key in wanted if 'feature' in key)
        assert all(0 <= log[key] <= 1 for key in wanted if 'gamma' in key)
        parts = [value for key, value in log.items()
                 if 'loss' in key and key != 'loss']
        torch.testing.assert_close(sum(parts), log['loss'])
    assert still == []


@pytest.mark.parametrize('name', [
    n for n in OF_FEATURES if levels_of(n)])
def test_detectors_compare_the_levels_that_both_have(name, teachers):
    cfg = shipped(name)
    model = build(teachers.model_of(cfg), cfg.default_scope)

    assert list(model.distill['diffkd']) == [
        f'level{i}' for i in range(levels_of(name))]


def test_weights_can_be_set_on_the_command_line(tmp_path):
    cfg = copy.deepcopy(shipped('coco/deepkd_diffkd_frcnn_r101_r18.py'))
    cfg.merge_from_dict({
        'model.losses.1.loss_weight': 0.25,
        'model.losses.1.levels': [0, 1],
        'optim_wrapper.offsets.feature': 0.05,
    })
    logits, features = losses_of(cfg)

    assert logits == shipped('coco/deepkd_frcnn_r101_r18.py').model.losses
    assert features == dict(
        type='mmdeepkd.DiffKDLoss', loss_weight=0.25, levels=[0, 1])
    assert cfg.optim_wrapper.offsets.feature == 0.05


def test_the_published_form_is_set_on_the_command_line(teachers):
    """As the config's comment says."""
    cfg = copy.deepcopy(shipped('imagenet/diffkd_r34_r18.py'))
    cfg.merge_from_dict({
        'model.losses.0.channels': 1024,
        'model.losses.0.semantics': 'released',
        'model.losses.1.semantics': 'released',
    })
    with pytest.warns(UserWarning, match='1024'):
        model, _, still = two_iterations(
            'imagenet/diffkd_r34_r18.py', teachers, cfg)

    assert still == []
    assert {loss.semantics for loss in model.losses} == {'released'}
