"""Every shipped config builds, and says how it is launched."""
import copy
import functools
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, DefaultScope
from mmengine.visualization import Visualizer

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.engine import DecoupledSGD
from mmdeepkd.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts)
DISTILLING = [name for name in LEAVES
              if not name.split('/')[1].startswith(('baseline', 'teacher'))]


@pytest.fixture(scope='session')
def teacher_file(tmp_path_factory):
    """Give a function that writes random weights, once per teacher."""
    folder = tmp_path_factory.mktemp('teachers')
    written = {}

    def write(config):
        if config not in written:
            model = build(resolve_model_config(config, 'teacher'))
            written[config] = str(folder / f'{len(written)}.pth')
            torch.save(dict(state_dict=model.state_dict()), written[config])
        return written[config]

    yield write
    # Hundreds of megabytes, which pytest would keep.
    shutil.rmtree(folder)


def build(model):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(model)


@functools.lru_cache(maxsize=None)
def shipped(name):
    return Config.fromfile(CONFIGS / name)


def load(name, teacher_file):
    cfg = copy.deepcopy(shipped(name))
    if 'teacher' in cfg.model:
        assert cfg.model.teacher_checkpoint.endswith('.pth')
        cfg.model.teacher_checkpoint = teacher_file(cfg.model.teacher)
    return cfg


@pytest.mark.parametrize('name', LEAVES)
def test_model_wrapper_and_hooks_are_built(name, teacher_file):
    cfg = load(name, teacher_file)
    model = build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    # mmdet's visualization hook asks for the one that the Runner has built.
    Visualizer.get_instance('test_configs')
    hooks = [*cfg.default_hooks.values(), *cfg.get('custom_hooks', [])]
    with DefaultScope.overwrite_default_scope('mmdet'):
        hooks = [HOOKS.build(hook) for hook in hooks]

    assert len(hooks) > 5
    params = sum(len(g['params']) for g in wrapper.param_groups)
    assert params == len(list(model.parameters()))
    if name in DISTILLING:
        assert RUNNERS.get(cfg.runner_type) is not None
        assert model.num_logits == (11 if 'digits' in name else 81)


@pytest.mark.parametrize('name', DISTILLING)
def test_methods_are_what_the_names_say(name):
    cfg = shipped(name)
    method = name.split('/')[1].split('_')[0]

    assert cfg.model.losses.type == dict(
        kd='mmdeepkd.KDLoss', dkd='mmdeepkd.DKDLoss',
        deepkd='mmdeepkd.DeepKDLoss')[method]
    deepkd = method == 'deepkd'
    assert (cfg.optim_wrapper.type == 'mmdeepkd.DeepKDOptimWrapper') == deepkd
    assert ('delta' in cfg.optim_wrapper) == deepkd
    assert ('topk' in cfg.default_hooks) == deepkd
    assert cfg.model.losses.get('base') == ('dkd' if deepkd else None)


@pytest.mark.parametrize('name', [n for n in DISTILLING if 'coco' in n])
def test_coco_configs_have_the_published_weights(name):
    cfg = shipped(name)
    losses = cfg.model.losses

    assert losses.temperature == 1
    if '/kd_' not in name:
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
    folder, student = name.split('/')[0], name[:-3].split('_')[-1]
    baseline = shipped(f'{folder}/baseline_frcnn_{student}.py')
    cfg = shipped(name)

    assert cfg.model.student == baseline.model
    for key in ('train_dataloader', 'train_cfg', 'param_scheduler',
                'default_scope', 'auto_scale_lr', 'val_evaluator'):
        assert cfg[key] == baseline[key]
    assert dict(cfg.optim_wrapper.optimizer, lr=0) == dict(
        baseline.optim_wrapper.optimizer, lr=0)
    assert cfg.optim_wrapper.get('clip_grad') == (
        baseline.optim_wrapper.get('clip_grad'))


def test_a_deepkd_wrapper_keeps_the_configured_sgd(teacher_file):
    cfg = load('digits/deepkd_frcnn_r18w32_r18w16.py', teacher_file)
    optimizer = build_optim_wrapper(
        build(cfg.model), cfg.optim_wrapper).optimizer

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


@pytest.mark.parametrize('name', LEAVES)
def test_a_config_of_ones_own_inherits_it_from_any_folder(name, tmp_path,
                                                          monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / 'own.py'
    own.write_text(
        f'_base_ = [__import__("mmdeepkd").config_path("{name}")]\n'
        'work_dir = "elsewhere"\n')
    cfg = Config.fromfile('own.py')

    assert cfg.pop('work_dir') == 'elsewhere'
    assert cfg.to_dict() == shipped(name).to_dict()


def test_config_path_names_the_closest():
    path = Path(mmdeepkd.config_path('coco/deepkd_frcnn_r101_r18.py'))
    assert path.resolve() == CONFIGS / 'coco' / 'deepkd_frcnn_r101_r18.py'
    with pytest.raises(FileNotFoundError, match=(
            r"ships no config 'coco/deepkd_r101_r18.py'; did you mean one of "
            r'.*coco/deepkd_frcnn_r101_r18\.py')):
        mmdeepkd.config_path('coco/deepkd_r101_r18.py')


def test_types_name_their_package():
    """A config inherited from another scope builds the same components."""
    untyped = re.compile(r"type='(?!mmdet\.|mmdeepkd\.|mmpretrain\.)(\w+)'")
    found = {match for path in CONFIGS.rglob('*.py')
             for match in untyped.findall(path.read_text())}
    engine = {
        'BN', 'nms', 'RoIAlign', 'Pretrained', 'SGD', 'OptimWrapper',
        'LoadImageFromFile', 'DefaultSampler', 'EpochBasedTrainLoop',
        'ValLoop', 'TestLoop', 'LinearLR', 'CosineAnnealingLR'
    }

    assert found <= engine
    assert DATASETS.get('mmdet.CocoDataset') is not None
