"""Every shipped config builds, and says how it is launched."""
import copy
import re
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, DefaultScope
from mmengine.visualization import Visualizer

import mmdeepkd
from mmdeepkd.engine import DecoupledSGD
from mmdeepkd.registry import RUNNERS

from .helpers.shipped import (
    CONFIGS,
    DISTILLING,
    LEAVES,
    OF_FEATURES,
    OF_LOGITS,
    Teachers,
    build,
    losses_of,
    shipped,
    split_name,
)

ROOT = CONFIGS.parent
# One of each method and folder, where reading every config would take long.
SAMPLE = list({split_name(name)[:2]: name for name in LEAVES}.values())
NUM_LOGITS = dict(digits=11, coco=81, custom=4, digits100=100, cifar100=100,
                  imagenet=1000)


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teachers')
    yield Teachers(folder)
    # Hundreds of megabytes, which pytest would keep.
    shutil.rmtree(folder)


@pytest.fixture(scope='module')
def networks(teachers):
    """Give a function that builds a model, once for all losses on it."""
    last = {}

    def build_once(name):
        cfg = shipped(name)
        config = teachers.model_of(cfg)
        # Losses of features have parameters, in the model.
        ignored = () if name in OF_FEATURES else ('losses', 'task_weight')
        # As text: a model may complete the dicts that it is built from.
        key = str({k: v for k, v in config.items() if k not in ignored})
        # The methods of one view and those of two take turns.
        slot = str(config.get('data_preprocessor')), bool(ignored)
        if slot not in last or last[slot][0] != key:
            last[slot] = key, build(config, cfg.default_scope)
        return last[slot][1]

    return build_once


@pytest.mark.parametrize('name', LEAVES)
def test_model_wrapper_and_hooks_are_built(name, networks):
    cfg = copy.deepcopy(shipped(name))
    model = networks(name)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    # The visualization hooks ask for the one that the Runner has built.
    Visualizer.get_instance('test_configs')
    hooks = [*cfg.default_hooks.values(), *cfg.get('custom_hooks', [])]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        hooks = [HOOKS.build(hook) for hook in hooks]

    assert len(hooks) >= 5
    grouped = {id(p) for g in wrapper.param_groups for p in g['params']}
    assert {id(p) for p in model.parameters()} <= grouped
    assert hasattr(model, 'distill') == (name in OF_FEATURES)
    if name in DISTILLING:
        assert RUNNERS.get(cfg.runner_type) is not None
    if name in OF_LOGITS:
        assert model.num_logits == NUM_LOGITS[name.split('/')[0]]


@pytest.mark.parametrize('name', DISTILLING)
def test_the_losses_are_built_and_fit_momenta_and_views(name):
    cfg = shipped(name)
    losses = [MODELS.build(loss) for loss in losses_of(cfg)]
    offsets = cfg.optim_wrapper.get('offsets')

    if offsets is not None:
        assert set(offsets) == {
            'task', *(stream for loss in losses for stream in loss.streams)}
    if 'topk' in cfg.default_hooks:
        assert any(hasattr(loss, 'topk') for loss in losses)
    # The losses of one view are for detectors too, which have no such views.
    pipeline = cfg.train_dataloader.dataset.get('pipeline', [])
    two = any(step.type == 'mmpretrain.MultiView' for step in pipeline)
    for loss in losses:
        assert getattr(loss, 'views', 1) == (2 if two else 1)
    assert two == (cfg.get('data_preprocessor', {}).get('type') ==
                   'mmdeepkd.TwoViewDataPreprocessor')


def test_a_deepkd_wrapper_keeps_the_configured_sgd(teachers):
    cfg = copy.deepcopy(shipped('digits/deepkd_frcnn_r18w32_r18w16.py'))
    model = build(teachers.model_of(cfg), cfg.default_scope)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer

    assert isinstance(optimizer, DecoupledSGD)
    group = optimizer.param_groups[0]
    configured = cfg.optim_wrapper.optimizer
    for key in ('lr', 'momentum', 'weight_decay'):
        assert group[key] == configured[key]
    assert group['offsets']['target'] == -cfg.optim_wrapper.delta < 0


@pytest.mark.parametrize('name', LEAVES)
def test_the_header_says_what_it_needs_and_how_it_is_launched(name):
    lines = (CONFIGS / name).read_text().splitlines()
    header = [line[1:].strip() for line in lines
              [:next(i for i, line in enumerate(lines) if line[:1] != '#')]]
    text = ' '.join(line.rstrip('\\') for line in header)
    launch = re.search(r'Launch: (python (tools/\S+)\s+(configs/\S+))', text)

    assert len(header[0]) > 20
    assert 'Needs: ' in text
    assert launch, text
    assert (ROOT / launch.group(2)).is_file()
    assert launch.group(3) == f'configs/{name}'
    for tool, config in re.findall(r'(tools/\S+\.sh) (configs/\S+)', text):
        assert (ROOT / tool).is_file()
        assert config == f'configs/{name}'


@pytest.mark.parametrize('name', SAMPLE)
def test_a_config_of_ones_own_inherits_it_from_any_folder(name, tmp_path,
                                                          monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / 'own.py'
    own.write_text(
        f'_base_ = [__import__("mmdeepkd").config_path("{name}")]\n'
        'work_dir = "elsewhere"\n')
    cfg = Config.fromfile('own.py')

    expected = shipped(name).to_dict()
    # Of those that name one.
    expected.pop('work_dir', None)

    assert cfg.pop('work_dir') == 'elsewhere'
    assert cfg.to_dict() == expected


def test_config_path_names_the_closest():
    path = Path(mmdeepkd.config_path('coco/deepkd_frcnn_r101_r18.py'))
    assert path.resolve() == CONFIGS / 'coco' / 'deepkd_frcnn_r101_r18.py'
    with pytest.raises(FileNotFoundError, match=(
            r"ships no config 'coco/deepkd_r101_r18.py'; did you mean one of "
            r'.*coco/deepkd_frcnn_r101_r18\.py')):
        mmdeepkd.config_path('coco/deepkd_r101_r18.py')


def test_both_students_on_the_digits_are_alike_up_to_their_heads():
    faster_rcnn, retinanet = (
        Config.fromfile(CONFIGS / '_base_' / f'digits_{name}_r18w16.py').model
        for name in ('frcnn', 'retinanet'))

    for part in ('data_preprocessor', 'backbone', 'neck'):
        assert retinanet[part] == faster_rcnn[part]
    assert retinanet.bbox_head.anchor_generator == (
        faster_rcnn.rpn_head.anchor_generator)


def test_types_name_their_package():
    """A config inherited from another scope builds the same components."""
    untyped = re.compile(r"\btype='(?!mmdet\.|mmdeepkd\.|mmpretrain\.)(\w+)'")
    found = {match for path in CONFIGS.rglob('*.py')
             for match in untyped.findall(path.read_text())}
    engine = {
        'BN', 'GN', 'nms', 'RoIAlign', 'Pretrained', 'SGD', 'OptimWrapper',
        'LoadImageFromFile', 'DefaultSampler', 'default_collate',
        'EpochBasedTrainLoop', 'ValLoop', 'TestLoop', 'LinearLR',
        'CosineAnnealingLR', 'MultiStepLR', 'IterTimerHook', 'LoggerHook',
        'ParamSchedulerHook', 'CheckpointHook', 'DistSamplerSeedHook'
    }

    assert found <= engine
    assert DATASETS.get('mmdet.CocoDataset') is not None
