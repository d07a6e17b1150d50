"""tools/convert_teacher.py: every published network, and what it refuses.

``tests/data/cifar_models.json`` holds keys, shapes and logits of the reference
networks (mdistiller, DeepKD); weights and images follow the rule below.
"""
import argparse
import importlib
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmdeepkd.classification.backbones import (
    published_model,
    published_networks,
)
from mmdeepkd.distillers.teacher import load_strictly
from tests.helpers.checkpoint_files import save
from tests.helpers.classifiers import build_classifier
from tests.helpers.processes import ROOT, run_tool

REFERENCE = json.loads(
    (ROOT / 'tests' / 'data' / 'cifar_models.json').read_text())


def tensor(name, shape):
    """Make a tensor of a reference network."""
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    seed = zlib.crc32(name.encode()) & 0x7fffffff
    x = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith('running_var'):
        x = 0.5 + np.abs(x)
    elif name.endswith('running_mean') or name.endswith('bias'):
        x = 0.1 * x
    elif len(shape) >= 2:
        x = x * np.sqrt(2 / np.prod(shape[1:]))
    else:
        x = 1 + 0.1 * x
    return torch.from_numpy(x).float()


def state(arch, prefix=''):
    return {
        prefix + name: tensor(name, shape)
        for name, shape in REFERENCE[arch]['state_dict'].items()
    }


def published(path, tensors, legacy=True):
    """Save a checkpoint with what the published ones hold."""
    return save(
        path,
        dict(
            epoch=240,
            accuracy=torch.tensor(79.4),
            model=tensors,
            optimizer=dict(state={}, param_groups=[dict(lr=0.0005)])),
        legacy)


@pytest.fixture
def convert(monkeypatch):
    """Run the tool's main; what it raises is the test's."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    tool = importlib.import_module('convert_teacher')

    def run(*arguments):
        monkeypatch.setattr(
            sys, 'argv', ['convert_teacher.py', *map(str, arguments)])
        # Runs of other tests leave their scope; the tool's process has none.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            tool.main()

    yield run
    sys.modules.pop('convert_teacher')


@pytest.fixture
def failure(convert):
    """Run the tool and return the sentence it stops with."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            convert(*arguments)
        text = str(stopped.value)
        assert text.startswith('convert_teacher: ')
        return text

    return run


def test_all_published_networks_are_known():
    assert sorted(published_networks()) == sorted(REFERENCE)


@pytest.mark.parametrize('arch', REFERENCE)
def test_logits_are_the_reference_s(arch, convert, tmp_path, capsys):
    reference = REFERENCE[arch]
    logits = torch.tensor(reference['logits'])
    out = tmp_path / 'new' / 'teacher.pth'
    convert('--arch', arch,
            published(tmp_path / 'ckpt_epoch_240.pth', state(arch)), out)
    number = len(reference['state_dict'])
    assert capsys.readouterr().out == f'{out}: {number} tensors of {arch}\n'
    model = build_classifier(published_model(arch)).eval()
    load_strictly(model, str(out))
    size = reference['input_size']
    images = torch.from_numpy(np.random.RandomState(11).standard_normal(
        (len(logits), 3, size, size))).float()
    with torch.no_grad():
        actual = model(images, mode='tensor')

    assert logits.shape[1] == reference['num_classes']
    assert sum(p.numel() for p in model.parameters()) == reference['params']
    largest = logits.abs().amax(1, keepdim=True)
    torch.testing.assert_close(
        actual / largest, logits / largest, rtol=0, atol=1e-3)


@pytest.mark.parametrize('legacy', [False, True])
def test_what_is_written(legacy, convert, tmp_path):
    """From a parallel run; plain torch reads the result."""
    source = published(tmp_path / 'ckpt_epoch_240.pth',
                       state('wrn_16_1', 'module.'), legacy)
    convert('--arch', 'wrn_16_1', source, tmp_path / 'teacher.pth')
    written = torch.load(tmp_path / 'teacher.pth', weights_only=True)
    model = build_classifier(published_model('wrn_16_1'))

    assert set(written) == {'meta', 'state_dict'}
    assert written['meta'] == dict(
        arch='wrn_16_1', source='ckpt_epoch_240.pth')
    assert list(written['state_dict']) == list(model.state_dict())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'ckpt_epoch_240.pth', 'teacher.pth']


def test_as_a_user_runs_it(tmp_path):
    source = published(tmp_path / 'in.pth', state('resnet8'))
    result = run_tool('convert_teacher.py', '--arch', 'resnet8', source,
                      tmp_path / 'out.pth')

    assert result.stdout.endswith('out.pth: 56 tensors of resnet8\n')


def test_another_number_of_classes(convert, failure, tmp_path):
    tensors = state('resnet8')
    tensors['fc.weight'] = tensors['fc.weight'][:10].clone()
    tensors['fc.bias'] = tensors['fc.bias'][:10].clone()
    source = published(tmp_path / 'in.pth', tensors)
    text = failure('--arch', 'resnet8', source, tmp_path / 'out.pth')

    assert ('2 of another shape (head.fc.weight is (10, 64) and not '
            '(100, 64), head.fc.bias is (10,) and not (100,)). Give the '
            '--arch and --num-classes') in text
    assert not (tmp_path / 'out.pth').exists()
    convert('--arch', 'resnet8', '--num-classes', 10, source,
            tmp_path / 'out.pth')
    assert (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize('arch, suggested', [
    ('resnet32x5', 'resnet32x4'), ('WRN_40_2', 'wrn_40_2'),
    ('mobilenetv2', 'MobileNetV2'), ('?', 'resnet8, resnet14, ')])
def test_an_unknown_network(arch, suggested, failure, tmp_path):
    text = failure('--arch', arch, 'in.pth', tmp_path / 'out.pth')

    assert f'there is no published network {arch!r}: give --arch as' in text
    assert suggested in text


def test_another_network(failure, tmp_path):
    source = published(tmp_path / 'in.pth', state('resnet14'))
    text = failure('--arch', 'resnet20', source, tmp_path / 'out.pth')

    assert f'{source} does not hold a resnet20 (128 tensors): 36 missing ' in (
        text)
    assert '(backbone.layers.0.2.conv1.weight, ' in text
    assert '; 0 unexpected; 0 of another shape. Give the --arch' in text
    text = failure('--arch', 'resnet8', source, tmp_path / 'out.pth')
    assert ': 0 missing; 36 unexpected (' in text


def test_a_file_that_exists_is_kept(convert, failure, tmp_path):
    source = published(tmp_path / 'in.pth', state('resnet8'))
    out = tmp_path / 'out.pth'
    out.write_bytes(b'mine')
    text = failure('--arch', 'resnet8', source, out)

    assert text.endswith(f'{out} exists already: give another file, or '
                         '--force to replace it.')
    assert out.read_bytes() == b'mine'
    convert('--force', '--arch', 'resnet8', source, out)
    assert len(torch.load(out, weights_only=True)['state_dict']) == 56


@pytest.mark.parametrize('value', [
    dict(state_dict={}), dict(model={}), dict(model=dict(a=1)), [1]])
def test_a_file_without_a_model(value, failure, tmp_path):
    source = save(tmp_path / 'in.pth', value)
    text = failure('--arch', 'resnet8', source, tmp_path / 'out.pth')

    assert f"{source} has no tensors under 'model': give a checkpoint" in text


def test_files_that_are_not_read(failure, tmp_path):
    arguments = ['--arch', 'resnet8', tmp_path / 'in.pth', tmp_path / 'o.pth']
    assert 'there is no checkpoint ' in failure(*arguments)
    Path(arguments[2]).write_bytes(b'404: Not Found')
    assert 'is a text file, not a checkpoint: give the file' in failure(
        *arguments)
    # As the last checkpoint of RepDistiller's own training holds.
    save(arguments[2], dict(opt=argparse.Namespace(lr=1), model={}))
    assert 'was not loaded: it asks for argparse.Namespace' in failure(
        *arguments)


def test_without_mmpretrain(failure, monkeypatch, tmp_path):
    # What find_spec takes for a package that is not installed.
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)
    source = published(tmp_path / 'in.pth', state('resnet8'))
    text = failure('--arch', 'resnet8', source, tmp_path / 'out.pth')

    assert 'the networks are built with mmpretrain: install it with `pip' in (
        text)
    assert not (tmp_path / 'out.pth').exists()
