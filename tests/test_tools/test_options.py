"""What the tools make of their command line, before anything is trained."""
import importlib
import os
import sys

import pytest
import torch
from mmengine.config import Config

from tests.helpers.processes import ROOT

BASELINE = 'configs/digits/baseline_frcnn_r18w16.py'
TOOLS = ('train', 'test', 'common')
DEEPKD = 'configs/digits/deepkd_frcnn_r18w32_r18w16.py'


class Stopped(Exception):
    """Raised in place of building a runner; carries the config."""


@pytest.fixture
def tool(monkeypatch, digits):
    """Run a tool's main up to the runner, and return its config."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(ROOT)
    # The tools set it where the launcher has not.
    monkeypatch.setenv('LOCAL_RANK', os.environ.get('LOCAL_RANK', '0'))
    for name in TOOLS:
        # Python itself has a package named test.
        monkeypatch.delitem(sys.modules, name, raising=False)

    def stop(cfg):
        raise Stopped(cfg)

    def run(name, *arguments, data=True):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, 'build_runner', stop)
        options = list(map(str, arguments))
        if data:
            options += ['--cfg-options'] + [
                f'{loader}_dataloader.dataset.data_root={digits}'
                for loader in ('train', 'val', 'test')]
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *options])
        with pytest.raises(Stopped) as stopped:
            module.main()
        return stopped.value.args[0]

    yield run
    for name in TOOLS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize('config, before, after', [
    (BASELINE, 'OptimWrapper', 'AmpOptimWrapper'),
    (DEEPKD, 'mmdeepkd.DeepKDOptimWrapper',
     'mmdeepkd.AmpDeepKDOptimWrapper'),
])
def test_amp_maps_the_wrapper(config, before, after, tool):
    plain = tool('train', config).optim_wrapper
    amp = tool('train', config, '--amp').optim_wrapper

    assert plain.pop('type') == before
    assert amp.pop('type') == after
    assert amp.pop('loss_scale') == 'dynamic'
    # delta, clip_grad and the optimizer stay.
    assert amp == plain


def test_amp_keeps_a_configured_scale(tool):
    train = importlib.import_module('train')
    cfg = Config(dict(optim_wrapper=dict(loss_scale=512.)))
    train.turn_on_amp(cfg)

    assert cfg.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale=512.)


def test_auto_scale_lr(tool):
    assert tool('train', DEEPKD).auto_scale_lr.enable is False
    assert tool('train', DEEPKD, '--auto-scale-lr').auto_scale_lr.enable


@pytest.mark.parametrize('options, resume, load_from', [
    ([], False, None),
    (['--resume'], True, None),
    (['--resume', 'net.pth'], True, 'net.pth'),
])
def test_resume(options, resume, load_from, tool):
    cfg = tool('train', DEEPKD, *options)

    assert (cfg.resume, cfg.load_from) == (resume, load_from)


def test_work_dir_and_launcher(tool):
    assert tool('train', DEEPKD).work_dir == (
        'work_dirs/deepkd_frcnn_r18w32_r18w16')
    cfg = tool('train', DEEPKD, '--work-dir', 'here', '--launcher', 'pytorch')
    assert (cfg.work_dir, cfg.launcher) == ('here', 'pytorch')


def test_evaluation_is_of_the_student(tool):
    cfg = tool('test', DEEPKD, 'net.pth')

    assert cfg.load_from == 'net.pth'
    assert cfg.model == Config.fromfile(BASELINE).model


def test_evaluation_of_a_plain_config(tool):
    cfg = tool('test', BASELINE, 'net.pth')

    assert cfg.model == Config.fromfile(BASELINE).model


def failure(tool, *arguments):
    with pytest.raises(SystemExit) as stopped:
        tool(*arguments, data=False)
    return str(stopped.value)


@pytest.mark.parametrize('name, arguments', [
    ('train', []), ('test', ['net.pth'])])
def test_a_config_that_is_not_there(name, arguments, tool):
    assert failure(tool, name, 'configs/nothing.py', *arguments) == (
        'there is no config configs/nothing.py.')


@pytest.mark.parametrize('name, arguments, loader', [
    ('train', [], 'train'), ('test', ['net.pth'], 'test')])
def test_a_dataset_folder_that_is_not_there(name, arguments, loader, tool):
    key = f'{loader}_dataloader.dataset.data_root'
    text = failure(tool, name, BASELINE, *arguments, '--cfg-options',
                   f'{key}=/nowhere/digits')

    assert text.startswith(
        f'the dataset is not there: /nowhere/digits ({key} of ')
    assert text.endswith(
        f'Put it there, or point to it with --cfg-options {key}=PATH.')


def test_an_annotation_file_that_is_not_there(tool, digits):
    key = 'train_dataloader.dataset'
    text = failure(tool, 'train', BASELINE, '--cfg-options',
                   f'{key}.data_root={digits}',
                   f'{key}.ann_file=annotations/none.json')

    assert f'{digits}/annotations/none.json ({key}.ann_file of ' in text


def test_datasets_inside_datasets_are_checked(tool, digits):
    common = importlib.import_module('common')
    inner = dict(type='CocoDataset', data_root='/nowhere')
    for outer, key in (
            (dict(type='RepeatDataset', dataset=inner), 'dataset'),
            (dict(type='ConcatDataset', datasets=[
                dict(data_root=str(digits)), inner]), 'datasets.1')):
        cfg = Config(dict(train_dataloader=dict(dataset=outer)))
        with pytest.raises(SystemExit, match=(
                rf'/nowhere \(train_dataloader\.dataset\.{key}\.data_root')):
            common.check_datasets(cfg, ['train_dataloader', 'val_dataloader'])


@pytest.mark.parametrize('option, on', [([], False),
                                        (['--detect-anomaly'], True)])
def test_anomalies_are_detected_when_asked(option, on, tool):
    assert not torch.is_anomaly_enabled()
    try:
        tool('train', DEEPKD, *option)
        assert torch.is_anomaly_enabled() is on
    finally:
        torch.autograd.set_detect_anomaly(False)


def test_amp_of_an_unknown_wrapper(tool):
    train = importlib.import_module('train')
    cfg = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
    with pytest.raises(SystemExit, match=(
            '--amp does not know the optimizer wrapper ApexOptimWrapper: set '
            'optim_wrapper.type')):
        train.turn_on_amp(cfg)


def test_amp_twice_changes_nothing(tool):
    train = importlib.import_module('train')
    cfg = Config(dict(optim_wrapper=dict(
        type='mmdeepkd.AmpDeepKDOptimWrapper', delta=0.05)))
    train.turn_on_amp(cfg)

    assert cfg.optim_wrapper == dict(
        type='mmdeepkd.AmpDeepKDOptimWrapper', delta=0.05)


def test_auto_scale_lr_without_a_base(tool):
    train = importlib.import_module('train')
    with pytest.raises(SystemExit, match=(
            r'--auto-scale-lr needs auto_scale_lr=dict\(base_batch_size')):
        train.turn_on_lr_scaling(Config(dict(lr=1)))


def test_an_image_folder_that_is_not_there(tool, digits):
    key = 'train_dataloader.dataset'
    text = failure(tool, 'train', BASELINE, '--cfg-options',
                   f'{key}.data_root={digits}', f'{key}.data_prefix.img=none')

    assert f'{digits}/none ({key}.data_prefix.img of ' in text


def test_paths_that_a_file_backend_maps_are_not_checked(tool):
    common = importlib.import_module('common')
    cfg = Config(dict(train_dataloader=dict(dataset=dict(
        data_root='/nowhere', backend_args=dict(backend='petrel')))))

    common.check_datasets(cfg, ['train_dataloader'])
