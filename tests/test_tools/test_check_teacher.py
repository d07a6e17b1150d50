"""tools/check_teacher.py: on Digits-100, on digits, and what it refuses."""
import importlib
import io
import math
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import mmdet
import mmpretrain
import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.fileio import load
from mmengine.logging import MMLogger

import mmdeepkd
from mmdeepkd.datasets import make_digit_pairs
from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.distillers.teacher import load_strictly
from tests.helpers.classifiers import build_classifier
from tests.helpers.processes import ROOT, run_command
from tests.helpers.shipped import DISTILLING, shipped

DETECTION = 'configs/digits/deepkd_frcnn_r18w32_r18w16.py'
# Pixels of the student that are not the teacher's.
CONFIG = """
_base_ = [__import__('mmdeepkd').config_path(
    'digits100/kd_resnet8w32_resnet8w4.py')]
data_preprocessor = dict(mean=[0., 0., 0.], std=[255., 255., 255.])
model = dict(teacher_checkpoint='{checkpoint}')
teacher_metric = dict(value={value}, tolerance=0.01)
"""
# RepDistiller's table of CIFAR-100, whose files mdistiller publishes.
CIFAR = dict(resnet56=72.34, resnet110=74.31, resnet32x4=79.42,
             wrn_40_2=75.61, vgg13=74.64, resnet50=79.34)


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('LOCAL_RANK', '0')
    before = set(sys.modules)
    yield importlib.import_module('check_teacher')
    for name in set(sys.modules) - before:
        if name.split('.')[0] in ('check_teacher', 'common', 'teacher_steps'):
            del sys.modules[name]


@pytest.fixture
def check(tool, monkeypatch, tmp_path):
    """Run the tool's main; return what it prints."""

    def run(config, *arguments):
        monkeypatch.setattr(sys, 'argv', [
            'check_teacher.py', str(config), '--work-dir',
            str(tmp_path / 'work'), *map(str, arguments)])
        # Not capsys: MMEngine's logger would keep its closed stream.
        with redirect_stdout(io.StringIO()) as said:
            tool.main()
        return said.getvalue()

    return run


@pytest.fixture
def failure(check):
    """Run the tool and return the sentence it stops with."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            check(*arguments)
        text = str(stopped.value)
        assert text.startswith('check_teacher: ')
        return text

    return run


def normalised(images, mean=109., std=48.):
    """Return (N, 3, 8, 16) as the teacher of Digits-100 reads it."""
    images = torch.from_numpy(images.astype(np.float32))
    return ((images - mean) / std)[:, None].expand(-1, 3, -1, -1)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """Give a teacher after 3 epochs, and its validation accuracy."""
    torch.manual_seed(0)
    model = build_classifier(resolve_model_config(
        mmdeepkd.config_path('digits100/teacher_resnet8w32.py'), 'teacher'))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pairs = make_digit_pairs('train', 1)
    images, labels = normalised(pairs.images), torch.tensor(pairs.labels)
    for chosen in torch.randperm(6000).remainder(2000).split(128):
        optimizer.zero_grad()
        logits = model(images[chosen])
        torch.nn.functional.cross_entropy(logits, labels[chosen]).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path, accuracy(model.eval())


@torch.no_grad()
def accuracy(model, indices=slice(None), **pixels):
    pairs = make_digit_pairs('val', 1)
    found = model(normalised(pairs.images[indices], **pixels)).argmax(1)
    return 100 * (found.numpy() == pairs.labels[indices]).mean()


@pytest.fixture
def config(teacher, tmp_path):
    path = tmp_path / 'own.py'
    path.write_text(CONFIG.format(checkpoint=teacher[0], value=teacher[1]))
    return path


def test_the_metric_is_that_of_the_teacher_in_its_own_pixels(
        config, teacher, check):
    text = check(config)

    assert 10 < teacher[1] < 100
    assert 'the teacher on 2000 of 2000 validation images:' in text
    assert f'  accuracy/top1: {teacher[1]:.4g}\n' in text
    assert 'The teacher is as expected: accuracy/top1 is ' in text


# After 3 epochs a few of the 2000 images are on the edge between classes.
@pytest.mark.parametrize('amp, said, allowed', [
    ('None', 'no autocast', 0.1), ('bf16', 'autocast to bf16', 0.3)],
    ids=['exact', 'bf16'])
def test_the_teacher_is_measured_as_it_runs(amp, said, allowed, config,
                                            teacher, check, monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, text, *args:
                        texts.append(str(text)))
    text = check(config, '--tolerance', allowed, '--cfg-options',
                 'model.teacher_speedup.fold_bn=True',
                 f'model.teacher_speedup.amp={amp}')
    value = float(re.search(r'accuracy/top1: ([\d.]+)', text).group(1))

    assert ('the teacher ran as in training: with teacher_speedup '
            f'(channels_last, fold_bn, {said}, not compiled).'
            ) in text
    assert value == pytest.approx(teacher[1], abs=allowed)
    # It was not only said.
    assert [line for line in texts if re.match(
        r'teacher_speedup: backbone: (\d+) of \1 BatchNorms folded', line)]


def test_a_teacher_without_a_speedup_runs_as_loaded(config, check):
    text = check(config, '--images', 50, '--cfg-options',
                 'teacher_metric=None')

    assert 'the teacher ran as in training: as loaded.' in text


def test_a_teacher_that_reads_other_pixels_falls_short(config, failure):
    text = failure(config, '--cfg-options',
                   'model.teacher=' + mmdeepkd.config_path(
                       'digits100/baseline_resnet8w4.py'))
    assert 'does not match the teacher' in text
    own = config.with_name('teacher.py')
    own.write_text(
        "_base_ = [__import__('mmdeepkd').config_path("
        "'digits100/teacher_resnet8w32.py')]\n"
        'data_preprocessor = dict(mean=[0., 0., 0.], std=[1., 1., 1.])\n')
    text = failure(config, '--cfg-options', f'model.teacher={own}')

    # One class in a hundred is right by chance.
    assert 'the teacher falls short' in text and 'accuracy/top1 is 1' in text
    assert 'compare its checkpoint, its data_preprocessor and the ' in text


def test_a_teacher_with_a_renamed_tensor_is_not_measured(
        config, teacher, failure, tmp_path):
    saved = torch.load(teacher[0])
    state = saved['state_dict']
    state['head.fc.w'] = state.pop('head.fc.weight')
    torch.save(saved, tmp_path / 'renamed.pth')
    text = failure(config, '--cfg-options',
                   f'model.teacher_checkpoint={tmp_path}/renamed.pth')

    assert '1 missing (head.fc.weight); 1 unexpected (head.fc.w)' in text


def test_a_part_of_the_images_is_spread_over_the_set(
        config, teacher, check, failure):
    model = build_classifier(resolve_model_config(
        mmdeepkd.config_path('digits100/teacher_resnet8w32.py'), 'teacher'))
    model.load_state_dict(torch.load(teacher[0])['state_dict'])
    value = accuracy(model.eval(), slice(None, None, 20))
    text = check(config, '--images', 100)

    assert 'the teacher on 100 of 2000 validation images:' in text
    assert f'  accuracy/top1: {value:.4g}\n' in text
    assert ' on 100 of 2000 validation images.' in text
    text = failure(config, '--images', 100, '--cfg-options',
                   'teacher_metric.value=99.9')
    assert 'the teacher falls short' in text


@pytest.mark.parametrize('tolerance, falls_short', [
    (99.5, False), (0.1, True)])
def test_a_given_tolerance_is_the_one_in_use(
        tolerance, falls_short, config, check, failure):
    run = failure if falls_short else check
    text = run(config, '--images', 100, '--tolerance', tolerance,
               '--cfg-options', 'teacher_metric.value=100')

    assert f', less at most {tolerance} on 100 of 2000 ' in text


def test_without_an_expected_value(config, check):
    text = check(config, '--images', 50, '--cfg-options',
                 'teacher_metric=None')

    assert 'accuracy/top1: ' in text
    assert 'The config expects no value: teacher_metric = dict(' in text


@pytest.mark.parametrize('option, said', [
    ('teacher_metric.name=top1', 'teacher_metric names top1, and the '
     'evaluator gives accuracy/top1, accuracy/top5: name one of these.'),
    ('teacher_metric.limit=1', 'teacher_metric must have a name and a value'),
    ('teacher_metric.value=high', 'teacher_metric.value must be a number '
     "larger than 0, what the evaluator prints of a good teacher, got 'high'"),
    ('teacher_metric.value=-1', 'larger than 0, what the evaluator prints'),
    ('teacher_metric.tolerance=1%', 'teacher_metric.tolerance must be a '
     "number, at least 0, in the unit of the value, got '1%'."),
    ('model.teacher_checkpoint=/nowhere/t.pth', '/nowhere/t.pth is not there'),
    ('model.teacher=/nowhere/t.py', 'there is no teacher config /nowhere/'),
])
def test_what_the_config_gets_wrong(option, said, config, failure):
    assert said in failure(config, '--images', 100, '--cfg-options', option)


def test_images_that_cannot_be_chosen(config, failure):
    assert '--images must be at least 1, got 0.' in failure(
        config, '--images', 0)
    twice = config.with_name('twice.py')
    twice.write_text(
        f"_base_ = ['{config}']\n"
        'val_dataloader = dict(dataset=dict(\n'
        "    _delete_=True, type='RepeatDataset', times=2,\n"
        '    dataset={{_base_.val_dataloader.dataset}}))\n')
    text = failure(twice, '--images', 100)
    assert ('--images cannot choose from val_dataloader.dataset, a '
            'RepeatDataset: leave --images out.') in text


def test_so_few_images_that_the_verdict_would_mean_nothing(config, failure):
    options = ['--cfg-options', 'teacher_metric.value=50']
    text = failure(config, '--images', 99, *options)

    assert ('--images 99 tells too little: by chance alone accuracy/top1 may '
            'be 10 less than 50 on so few; take at least 100 of the 2000, or '
            'say with --tolerance what you accept.') in text
    assert 'too little' not in failure(
        config, '--images', 10, '--tolerance', 0, '--cfg-options',
        'teacher_metric.value=99.9')


def test_the_validation_set_is_built_once(config, check, monkeypatch):
    built = []
    full_init = BaseDataset.full_init

    def count(dataset):
        built.append(dataset)
        full_init(dataset)

    monkeypatch.setattr(BaseDataset, 'full_init', count)
    check(config, '--images', 100)

    assert len(set(map(id, built))) == 1


def test_a_config_without_a_teacher(failure):
    text = failure('configs/digits100/baseline_resnet8w4.py')

    assert 'configures no distillation: give a config whose model' in text


def test_other_classes_than_the_annotations(tool):
    cfg = Config(dict(model=dict()))
    model = build_classifier(resolve_model_config(
        mmdeepkd.config_path('digits100/teacher_resnet8w32.py'), 'teacher'))
    dataset = type('Set', (), dict(metainfo=dict(classes=('a', 'b', 'c'))))
    with pytest.raises(ValueError, match=(
            'the teacher has 100 classes and the validation set 3, so that')):
        tool.check_classes(cfg, model, dataset)
    dataset.metainfo = dict(classes=('a', ) * 100)
    tool.check_classes(cfg, model, dataset)
    cfg.model.teacher_class_map = list(range(100))
    with pytest.raises(ValueError, match='100, mapped by teacher_class_map'):
        tool.check_classes(cfg, model, dataset)


@pytest.fixture
def named(tool, teacher):
    """Compare a validation set's names with those in a teacher's file."""
    state = torch.load(teacher[0])['state_dict']

    def run(folder, names):
        model = build_classifier(resolve_model_config(
            mmdeepkd.config_path('digits100/teacher_resnet8w32.py'),
            'teacher'))
        meta = dict(dataset_meta=dict(classes=[str(i) for i in range(100)]))
        torch.save(dict(state_dict=state, meta=meta), folder / 'named.pth')
        load_strictly(model, str(folder / 'named.pth'))
        dataset = type('Set', (), dict(metainfo=dict(classes=names)))
        with redirect_stdout(io.StringIO()) as said:
            tool.check_classes(Config(dict(model=dict())), model, dataset)
        return said.getvalue()

    return run


def test_the_same_classes_in_another_order(named, tmp_path):
    names = [str(i) for i in range(100)]
    assert named(tmp_path, names) == ''
    names[1:3] = names[2:0:-1]
    with pytest.raises(ValueError, match=(
            "class 1 is '2' in the validation set and '1' in the teacher's "
            'checkpoint, which has the same 100 classes in another order')):
        named(tmp_path, names)


def test_classes_of_other_names_are_warned_of(named, tmp_path):
    names = [f'{i:02d}' for i in range(100)]

    assert named(tmp_path, names).startswith(
        "warning: class 0 is '00' in the validation set and '0' in the ")


def test_accepted_shortfalls_by_hand(tool):
    expected = importlib.import_module('teacher_steps.expected').Expected
    accuracy, box_map = expected('a', 75.), expected('b', 0.36)

    assert accuracy.accepted_shortfall(100, 100) == pytest.approx(0.5)
    assert box_map.accepted_shortfall(100, 100) == pytest.approx(0.005)
    assert accuracy.accepted_shortfall(108, 200) == pytest.approx(
        200 * math.sqrt(0.75 * 0.25 / 108)) == pytest.approx(25 / 3)
    assert box_map.accepted_shortfall(144, 200) == pytest.approx(0.08)
    assert (accuracy.least_images, box_map.least_images) == (75, 93)
    own = accuracy._replace(tolerance=20)
    assert own.accepted_shortfall(48, 100) == 20


@pytest.fixture
def verdict(tool):
    """Give the verdict on one metric, of which 0.36 is expected."""
    expected = importlib.import_module('teacher_steps.expected').Expected
    report = importlib.import_module('teacher_steps.verdict').report

    def run(value, wanted=0.36, allowed=0.005, **others):
        report(dict(b=value, **others),
               None if wanted is None else expected('b', wanted), allowed,
               '9 of 9 validation images')

    return run


def test_less_than_is_accepted_falls_short(verdict):
    verdict(0.356)
    with pytest.raises(ValueError, match='the teacher falls short: b is 0.35'):
        verdict(0.354)


@pytest.mark.parametrize('wanted', [0.36, None])
@pytest.mark.parametrize('value, said', [
    (0.0, 'b is 0'), (math.nan, 'b is nan'), (-1, 'b is -1')])
def test_a_teacher_that_finds_nothing_fails(value, said, wanted, verdict):
    """Whatever is accepted; mmdet gives -1 where nothing is annotated."""
    with pytest.raises(ValueError,
                       match=f'the teacher finds nothing: {said}; compare'):
        verdict(value, wanted, allowed=99.)


def test_a_teacher_without_any_metric_finds_nothing(tool):
    """What mmdet's CocoMetric gives where no box is predicted."""
    report = importlib.import_module('teacher_steps.verdict').report
    with pytest.raises(ValueError, match='nothing: there is no metric; '):
        report({}, None, 0., '9 of 9 validation images')


def test_metrics_that_are_not_of_all_scenes_may_be_missing(verdict):
    verdict(0.36, None, small=-1, of_classes=[0.1, 0.2])
    verdict(0.36, small=math.nan)


@pytest.mark.parametrize('value, wanted', [(12., 0.76), (0.76, 76.)])
def test_an_expected_value_in_another_unit(value, wanted, verdict):
    with pytest.raises(ValueError, match=(
            'or only one of the two is in per cent: '
            f'b is {value:.4g} and the config expects {wanted:.4g}; write')):
        verdict(value, wanted, allowed=100.)


def test_images_left_out_are_not_scored(tool, digits):
    """They would be images on which the teacher finds nothing."""
    file = str(digits / 'annotations' / 'val.json')
    truth = load(file)
    chosen = truth['annotations'][0]['image_id']
    dataset = type('Set', (), dict(
        __len__=lambda self: 1,
        get_data_info=lambda self, index: dict(img_id=chosen)))()
    metric = CocoMetric(ann_file=file, classwise=False)
    metric.dataset_meta = dict(classes=tuple('0123456789'))
    loop = type('Loop', (), dict(
        dataloader=type('Loader', (), dict(dataset=dataset)),
        evaluator=Evaluator([metric])))
    tool.score_these_images_only(loop)
    boxes = [a for a in truth['annotations'] if a['image_id'] == chosen]
    x, y, width, height = np.array([a['bbox'] for a in boxes], float).T
    found = dict(
        bboxes=torch.tensor(np.stack([x, y, x + width, y + height], 1)),
        scores=torch.ones(len(boxes)),
        labels=torch.tensor([a['category_id'] - 1 for a in boxes]))
    metric.process({}, [
        dict(img_id=chosen, ori_shape=(128, 128), pred_instances=found)])

    assert len({a['image_id'] for a in truth['annotations']}) == 2
    assert metric.evaluate(1)['coco/bbox_mAP'] == pytest.approx(1)


def test_as_a_user_runs_it_on_detection(digits, teacher_checkpoint, tmp_path):
    """A random teacher finds nothing."""
    result = run_command(
        sys.executable, 'tools/check_teacher.py', DETECTION, '--work-dir',
        tmp_path, '--tolerance', 0.05, '--cfg-options',
        f'model.teacher_checkpoint={teacher_checkpoint}',
        f'val_dataloader.dataset.data_root={digits}',
        f'val_evaluator.ann_file={digits}/annotations/val.json')

    assert 'the teacher on 2 of 2 validation images:\n  coco/bbox_mAP: 0' in (
        result.stdout)
    assert ('check_teacher: the teacher finds nothing: coco/bbox_mAP is 0, '
            'coco/bbox_mAP_50 is 0') in result.stderr
    assert result.returncode == 1


def zoo(package, folder):
    """Return the metrics of a model zoo by the checkpoint's URL."""
    path = Path(package.__file__).parent / '.mim' / 'configs' / folder
    return {
        model['Weights']: model['Results'][0]['Metrics']
        for model in load(str(path / 'metafile.yml'))['Models']
        if 'Weights' in model}


@pytest.mark.parametrize(
    'name', [name for name in DISTILLING if not name.startswith('custom/')])
def test_shipped_configs_expect_the_published_value(name):
    cfg = shipped(name)
    expected, file = cfg.teacher_metric, cfg.model.teacher_checkpoint
    folder = name.split('/')[0]

    if folder == 'coco':
        model_zoo = cfg.model.teacher[len('mmdet::'):].split('/')[0]
        assert expected.value == pytest.approx(
            zoo(mmdet, model_zoo)[file]['box AP'] / 100)
    elif folder == 'imagenet' and 'regnety' not in name:
        assert expected.value == zoo(
            mmpretrain, 'resnet')[file]['Top 1 Accuracy']
    elif folder == 'cifar100':
        assert expected.value == CIFAR[Path(file).stem]
    metric = cfg.val_evaluator.type.split('.')[-1]
    assert expected.name == dict(
        Accuracy='accuracy/top1', CocoMetric='coco/bbox_mAP')[metric]
