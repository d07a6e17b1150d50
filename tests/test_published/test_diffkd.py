"""DiffKD's ImageNet configs train with the published values."""
import json
from pathlib import Path

import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn

from ..helpers.shipped import shipped
from .compare import schedule_of

DATA = Path(__file__).resolve().parents[1] / 'data' / 'published'
ROW = json.loads((DATA / 'diffkd.json').read_text())
# {config: the teacher's channels}
CHANNELS = dict(diffkd_r34_r18=512, diffkd_r50_mv1=2048)
# Plain students of the same recipe too.
RECIPES = (*CHANNELS, 'baseline_diffkd_r18', 'baseline_diffkd_mv1')


@pytest.mark.parametrize('name', RECIPES)
def test_the_schedule_is_the_published_one(name):
    cfg = shipped(f'imagenet/{name}.py')

    assert cfg.train_cfg.max_epochs == ROW['epochs']
    assert cfg.auto_scale_lr.base_batch_size == ROW['batch']
    assert cfg.train_dataloader.batch_size * ROW['gpus'] == ROW['batch']
    assert schedule_of(cfg) == ROW['sched']
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=ROW['lr'], momentum=ROW['momentum'],
        nesterov=ROW['nesterov'], weight_decay=ROW['wd'])


@pytest.mark.parametrize('name', RECIPES)
def test_one_dimensional_parameters_do_not_decay(name):
    """As published: biases and BatchNorm, of the adapters too."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Flatten(),
                          nn.Embedding(3, 2), nn.Linear(2, 2))
    wrapper = build_optim_wrapper(
        model, shipped(f'imagenet/{name}.py').optim_wrapper)
    own = {id(parameter) for parameter in model.parameters()}
    # MMEngine adds a group of its own, which holds the base values.
    decay = {
        (parameter.ndim > 1, group['weight_decay'])
        for group in wrapper.param_groups for parameter in group['params']
        if id(parameter) in own
    }

    assert decay == {(True, ROW['wd']), (False, ROW['wd_of_1d_parameters'])}


@pytest.mark.parametrize('name', CHANNELS)
def test_places_and_weights_are_the_published_ones(name):
    cfg = shipped(f'imagenet/{name}.py')
    maps, logits = (MODELS.build(loss) for loss in cfg.model.losses)

    assert (maps.reads, logits.reads) == ('maps', 'logits')
    # None is the last map.
    assert maps.levels is None
    assert cfg.model.task_weight == ROW['ori_loss_weight']
    for loss in (maps, logits):
        assert loss.loss_weight == ROW['kd_loss_weight'] * ROW['kd']
        assert loss.diffusion_weight == ROW['ddim']
        assert loss.num_steps == ROW['inference_steps']
    assert maps.autoencoder_weight == ROW['rec']
    assert logits.temperature == ROW['tau']


@pytest.mark.parametrize('name', CHANNELS)
def test_what_differs_is_the_paper_against_the_release(name):
    """A code of half the channels; the release widens ResNet-34's."""
    cfg = shipped(f'imagenet/{name}.py')
    teacher = CHANNELS[name]
    adapter = MODELS.build(cfg.model.losses[0]).build_adapter(8, teacher)

    assert adapter.transform.out_channels == teacher // 2
    assert (teacher // 2 == ROW['ae_channels']) == (name == 'diffkd_r50_mv1')
    assert {loss.get('semantics', 'paper')
            for loss in cfg.model.losses} == {'paper'}
