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
)

# {folder: (classes, side of the images)}: large enough for every stride.
IMAGES = dict(coco=(80, 64), digits=(10, 64), digits100=(100, 16),
              cifar100=(100, 32), imagenet=(1000, 64))


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teachers')
    yield Teachers(folder)
    shutil.rmtree(folder)  # Hundreds of megabytes.


def batch_of(name):
    folder = name.split('/')[0]
    classes, side = IMAGES[folder]
    if folder in ('coco', 'digits'):
        return detection_batch(size=side, num_classes=classes)
    return image_batch(images=4, size=side, num_classes=classes)


def two_iterations(name, teachers, cfg=None):
    """Return the model, its logs, and the adapters' weights left as is."""
    cfg = copy.deepcopy(cfg or shipped(name))
    torch.manual_seed(0)
    config = teachers.model_of(cfg)
    # As in a warm-up: at the full rate random weights can diverge at once.
    cfg.optim_wrapper.optimizer.lr *= 0.01
    # Random initialisation in place of a download.
    config.student.backbone.pop('init_cfg', None)
    model = build(config, cfg.default_scope).train()
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    # A bias before a BatchNorm gets no gradient.
    weights = {name: parameter.detach().clone()
               for name, parameter in model.distill.named_parameters()
               if parameter.ndim > 1}
    logs = [model.train_step(copy.deepcopy(batch_of(name)), wrapper)
            for _ in range(2)]
    still = [name for name, parameter in model.distill.named_parameters()
             if name in weights and torch.equal(weights[name], parameter)]
    assert weights
    return model, logs, still


@pytest.mark.parametrize('name', OF_FEATURES)
def test_two_iterations_train_student_and_adapters(name, teachers):
    _, logs, still = two_iterations(name, teachers)

    for log in logs:
        assert [name for name, value in log.items()
                if not torch.isfinite(value)] == []
        assert log['feature.loss_diffkd_diffusion'] > 0
        assert log['feature.loss_diffkd_autoencoder'] > 0
        gammas = [v for k, v in log.items() if k.startswith('diffkd_gamma')]
        assert gammas and all(0 <= gamma <= 1 for gamma in gammas)
        parts = [value for key, value in log.items()
                 if 'loss' in key and key != 'loss']
        torch.testing.assert_close(sum(parts), log['loss'])
    assert still == []


@pytest.mark.parametrize('name', [
    n for n in OF_FEATURES if n.split('/')[0] in ('coco', 'digits')])
def test_detectors_compare_the_levels_that_both_have(name, teachers):
    cfg = shipped(name)
    model = build(teachers.model_of(cfg), cfg.default_scope)
    expected = 4 if name.startswith('digits/') else 5

    assert len(model.distill['diffkd']) == expected


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
