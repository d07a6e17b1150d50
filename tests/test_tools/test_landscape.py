"""tools/analysis/landscape.py: numbers, pictures, what it refuses."""
import importlib.util
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmdeepkd.distillers import student_config
from tests.helpers import classifiers
from tests.helpers.distillers import build_detector
from tests.helpers.processes import run_tool
from tools.analysis import landscape
from tools.analysis.landscape_steps import measuring
from tools.analysis.landscape_steps.samples import load_batches
from tools.analysis.landscape_steps.slices import loss_slice, task_loss
from tools.analysis.landscape_steps.student import student_with

ROOT = Path(__file__).resolve().parents[2]
DIGITS100 = ROOT / 'configs/digits100/deepkd_resnet8w32_resnet8w4.py'


def save_students(config, folder, build):
    """Save two students with other weights, as runs do."""
    files = []
    for seed, name in enumerate(('plain', 'deepkd')):
        torch.manual_seed(seed)
        model = build(student_config(Config.fromfile(config).model))
        model.init_weights()
        # Not what BatchNorm starts with.
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith('running_mean'):
                buffer.normal_(std=0.1)
        state = dict(model.state_dict(), **{
            'distill.adapter.weight': torch.ones(2)})
        path = folder / name / 'epoch_1.pth'
        path.parent.mkdir()
        torch.save(dict(meta={}, state_dict=state), path)
        files.append(path)
    return files


@pytest.fixture(scope='module')
def classified(tmp_path_factory):
    files = save_students(DIGITS100, tmp_path_factory.mktemp('runs'),
                          classifiers.build_classifier)
    return DIGITS100, files


@pytest.fixture
def detected(write_config, tmp_path):
    config = write_config(tmp_path / 'own.py')
    # As users have it: what it draws depends on what was drawn before.
    config.write_text(config.read_text().replace(
        'SeededSampler', 'mmdet.RandomSampler'))
    return config, save_students(config, tmp_path, build_detector)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the tool's main; return what it says and the numbers."""

    def start(config, files, *arguments):
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setattr(sys, 'argv', [
            'landscape.py', str(config), *map(str, files), '--out',
            str(tmp_path / 'out'), '--device', 'cpu', *arguments])
        with redirect_stdout(io.StringIO()) as said:
            landscape.main()
        return said.getvalue(), json.loads(
            (tmp_path / 'out' / 'landscape.json').read_text())

    return start


def own_loss(config, file, count):
    """The loss as MMEngine's parts give it, batch by batch."""
    cfg = Config.fromfile(config)
    batches = load_batches(cfg, 'val', count)
    return task_loss(student_with(cfg, str(file), 'cpu'), batches)


SMALL = ('--points', '3', '--span', '0.5', '--samples', '20')


def test_classifiers_are_compared_on_one_scale(classified, run, tmp_path):
    config, files = classified
    said, data = run(config, files, '--seeds', '0', '5', *SMALL)
    names = [each['name'] for each in data['checkpoints']]
    losses = [each['loss'] for each in data['checkpoints']]

    assert names == ['plain', 'deepkd']
    assert data['settings'] == dict(
        config=str(config), split='val', span=0.5, points=3, samples=20)
    assert data['steps'] == [-0.5, 0.0, 0.5]
    assert losses == [own_loss(config, file, 20) for file in files]
    assert [(each['name'], each['dims'], each['seed'])
            for each in data['slices']] == [
        (name, dims, seed) for name in names
        for dims, seed in ((1, 0), (1, 5), (2, 0))]
    for each in data['slices']:
        middle = each['loss'][1] if each['dims'] == 1 else each['loss'][1][1]
        assert middle == losses[names.index(each['name'])]
    for name, loss in zip(names, losses):
        first, other, plane = (each['loss'] for each in data['slices']
                               if each['name'] == name)
        assert plane[1] == first != other
        assert data['rise'][name] == [pytest.approx(
            np.mean([first[0], first[2], other[0], other[2]]) - loss)]
        assert f'{name}: task loss {loss:.4f}, ' in said
    found = [each['loss'] for each in data['slices'] if each['dims'] == 2]
    assert data['levels'][0] == np.min(found)
    assert data['levels'][-1] == np.max(found)
    assert said.splitlines()[-1] == (
        f'the pictures and numbers are in {tmp_path / "out"}')
    for picture in ('landscape_1d.png', 'landscape_2d.png'):
        pixels = np.array(Image.open(tmp_path / 'out' / picture))
        assert pixels.shape[0] > 300 and len(np.unique(pixels)) > 20


def test_the_loss_is_that_of_plain_mmpretrain(classified):
    config, files = classified
    cfg = Config.fromfile(config)
    model = student_with(cfg, str(files[0]), 'cpu')
    batches = load_batches(cfg, 'val', 200)
    inputs = torch.cat([torch.stack(each['inputs']) for each in batches])
    labels = torch.cat([sample.gt_label for each in batches
                        for sample in each['data_samples']])
    with torch.no_grad():
        logits = model((inputs - 109.) / 48.)
    logits = model.head(logits) if not isinstance(logits, torch.Tensor) else (
        logits)

    # Two batches of 128 and 72 images.
    assert [len(each['inputs']) for each in batches] == [128, 72]
    assert task_loss(model, batches) == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)


def test_a_detector_draws_the_same_rois_at_every_point(detected, run,
                                                       monkeypatch):
    monkeypatch.setattr(landscape, 'draw', lambda *args: None)
    config, files = detected
    options = ('--dims', '1', '--span', '0.5', '--samples', '20', '--points')
    torch.manual_seed(1)
    _, few = run(config, files, *options, '3')
    torch.manual_seed(2)
    _, many = run(config, files, *options, '5')

    assert few['settings']['samples'] == 2
    assert [each['loss'] for each in few['checkpoints']] == [
        own_loss(config, file, 2) for file in files]
    assert [each['loss'] for each in few['slices']] == [
        each['loss'][::2] for each in many['slices']]
    # The loss of the RoI head, too.
    assert min(each['loss'] for each in few['checkpoints']) > 1


def test_boxes_are_those_of_the_image_that_the_model_sees(detected):
    cfg = Config.fromfile(detected[0])
    whole, = load_batches(cfg, 'val', 1)
    resize, = (step for step in cfg.val_dataloader.dataset.pipeline
               if step['type'] == 'mmdet.Resize')
    resize.scale = (64, 64)
    half, = load_batches(cfg, 'val', 1)
    boxes, halves = (each['data_samples'][0].gt_instances.bboxes.tensor
                     for each in (whole, half))

    assert len(boxes) > 0
    torch.testing.assert_close(halves, boxes / 2)


def test_what_is_finished_is_not_measured_again(classified, run, monkeypatch):
    config, files = classified
    measured = []

    def stop(model, *args):
        measured.append(args[2])
        if len(measured) == 3:
            raise KeyboardInterrupt
        return loss_slice(model, *args)

    monkeypatch.setattr(measuring, 'loss_slice', stop)
    monkeypatch.setattr(landscape, 'draw', lambda *args: None)
    with pytest.raises(KeyboardInterrupt):
        run(config, files, *SMALL)
    _, data = run(config, files, *SMALL)
    assert measured == [1, 2, 1, 1, 2]
    assert len(data['slices']) == 4

    # The other way round, by other names: the weights are what counts.
    _, turned = run(config, files[::-1], '--names', 'a', 'b', *SMALL)
    assert len(measured) == 5
    assert [each['loss'] for each in turned['slices']] == [
        each['loss'] for each in data['slices'][2:] + data['slices'][:2]]
    for change in ['--span', '0.4'], ['--samples', '21']:
        run(config, files[:1], '--dims', '1', *SMALL, *change)
    assert len(measured) == 7


@pytest.fixture
def measured(monkeypatch):
    """Gets the number of directions of every slice that is measured."""
    found = []

    def note(model, *args):
        found.append(args[2])
        return loss_slice(model, *args)

    monkeypatch.setattr(measuring, 'loss_slice', note)
    monkeypatch.setattr(landscape, 'draw', lambda *args: None)
    return found


def test_slices_of_other_checkpoints_are_kept(classified, run, measured):
    config, (one, other) = classified
    _, first = run(config, [one], *SMALL)
    _, second = run(config, [other], *SMALL)
    assert measured == [1, 2, 1, 2]
    assert second['others'] == first['slices'] and first['others'] == []
    assert {each['name'] for each in second['slices']} == {'deepkd'}

    _, again = run(config, [one], *SMALL)
    assert measured == [1, 2, 1, 2]
    assert again == dict(first, others=second['slices'])


@pytest.mark.parametrize('option', [
    'model.student.head.loss.loss_weight=2',
    'model.student.head.loss.type=mmpretrain.LabelSmoothLoss '
    'model.student.head.loss.label_smooth_val=0.2 '
    'model.student.head.loss.num_classes=100'], ids=['weight', 'smooth'])
def test_another_loss_is_measured_anew(classified, run, measured, option):
    config, files = classified
    call = (config, files[:1], '--dims', '1', *SMALL)
    _, before = run(*call)
    _, after = run(*call, '--cfg-options', *option.split())
    run(*call)

    assert measured == [1, 1]
    assert before['slices'][0]['loss'] != after['slices'][0]['loss']
    assert after['others'] == before['slices']


def test_only_what_it_found_is_said(classified, tmp_path):
    """Not what the packages warn of and log."""
    config, files = classified
    result = run_tool('analysis/landscape.py', config, files[0], '--out',
                      tmp_path, '--dims', '1', '--device', 'cpu', *SMALL)

    assert result.stderr == ''
    assert len(result.stdout.splitlines()) == 3
    assert result.stdout.startswith('plain, 1-D, seed 0: 3 of 3 points, ')


def test_a_checkpoint_twice_is_said_unless_it_has_two_names(
        classified, run, measured):
    config, (file, _) = classified
    spelt = file.parent / '..' / file.parent.name / file.name
    with pytest.raises(SystemExit) as error:
        run(config, [file, spelt], *SMALL)

    assert str(error.value) == (
        f'landscape: {file.resolve()} is given twice: give each checkpoint '
        'once, or names with --names.')
    assert measured == []
    _, data = run(config, [file, spelt], '--names', 'a', 'b', '--dims', '1',
                  *SMALL)
    assert [each['name'] for each in data['slices']] == ['a', 'b']


@pytest.mark.parametrize('device', ['cuda', 'cuda:1'])
def test_a_missing_gpu_is_said(classified, run, measured, device,
                               monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(SystemExit, match=(
            f'^landscape: --device {device} needs a GPU that torch sees; '
            'leave it out to measure on ')):
        run(*classified, *SMALL, '--device', device)
    assert measured == []


@pytest.mark.parametrize('arguments, said', [
    (['--device', 'gpu'], '--device gpu is no device that torch knows: give '
     'cpu or cuda.'),
    (['--points', '4'], '--points must be odd and at least 3, got 4: the '),
    (['--span', '0'], '--span must be above 0, got 0.0: 1 goes as far as '),
    (['--samples', '0'], 'there are no samples: --samples is 0, which '),
    (['--names', 'a', 'a'], "--names needs 2 different names, one for each "
     "checkpoint, got ['a', 'a']."),
    (['--names', 'a'], '--names needs 2 different names'),
    (['--cfg-options', 'model.student.head.num_classes=7'],
     "does not hold the config's student"),
    (['--split', 'train', '--cfg-options', 'train_dataloader=None'],
     'has no train_dataloader: give --split val.')])
def test_what_cannot_be_drawn_is_said(classified, run, arguments, said):
    with pytest.raises(SystemExit) as error:
        run(*classified, *SMALL, *arguments)

    assert str(error.value).startswith('landscape: ')
    assert said in str(error.value)
    assert '\n' not in str(error.value)


def test_two_views_are_said(classified):
    cfg = Config.fromfile(classified[0])
    views = dict(type='mmpretrain.MultiView', num_views=[1, 1],
                 transforms=[[], []])
    cfg.train_dataloader.dataset.pipeline.insert(0, views)

    with pytest.raises(ValueError, match=(
            'train_dataloader makes several views of an image, and the ')):
        load_batches(cfg, 'train', 2)


def test_data_without_boxes_are_said(detected):
    cfg = Config.fromfile(detected[0])
    cfg.val_dataloader.dataset.pipeline = [
        step for step in cfg.val_dataloader.dataset.pipeline
        if step['type'] != 'mmdet.LoadAnnotations']

    with pytest.raises(ValueError, match=(
            'the samples of val_dataloader have no ground truth after its '
            'pipeline')):
        load_batches(cfg, 'val', 2)


def test_a_run_that_diverged_is_said(classified, run, tmp_path):
    config, files = classified
    saved = torch.load(files[0])
    saved['state_dict']['head.fc.bias'][0] = float('nan')
    torch.save(saved, tmp_path / 'nan.pth')
    with pytest.raises(SystemExit, match=(
            'nan.pth is nan, so there is nothing to see around it')):
        run(config, [tmp_path / 'nan.pth'], *SMALL)


@pytest.mark.parametrize('text', ['{', '[]', '{"slices": [1]}'])
def test_another_file_of_that_name_is_kept(text, classified, run, tmp_path):
    (tmp_path / 'out').mkdir()
    file = tmp_path / 'out' / 'landscape.json'
    file.write_text(text)
    with pytest.raises(SystemExit, match='is not what this tool writes: '):
        run(*classified, *SMALL)

    assert file.read_text() == text


def test_a_missing_library_is_said_before_anything_is_measured(
        classified, run, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        landscape, 'find_spec',
        lambda name: None if name == 'matplotlib' else find(name))
    with pytest.raises(SystemExit, match=(
            'landscape: the pictures are made with matplotlib, which is not '
            'installed: pip install matplotlib')):
        run(*classified, *SMALL)
