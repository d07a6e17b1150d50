"""The shipped classification configs on a handful of images."""
import importlib
import json
import math
import runpy
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain import ImageClassificationInferencer

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.engine import StudentWeightsHook
from tests.helpers.classifiers import build_classifier
from tests.helpers.image_folders import write_cifar, write_imagenet
from tests.helpers.processes import ROOT, free_port, run_python, run_tool

IMAGENET = 'configs/imagenet/deepkd_r34_r18.py'
CIFAR = 'configs/cifar100/deepkd_resnet32x4_resnet8x4.py'
CIFAR_DATASET = 'tests.helpers.image_folders.TinyCIFAR100'
# Twelve images are three iterations.
BATCH = 4
SHORT = [
    'train_cfg.max_epochs=1', 'train_cfg.val_interval=9',
    'default_hooks.logger.interval=1', 'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_dataloader.sampler.shuffle=False'
]
# The tool where mmdet is not installed; arguments: tools/, its own.
TRAIN_WITHOUT_MMDET = """
import runpy, sys
sys.modules['mmdet'] = None
tools = sys.argv.pop(1)
sys.path.insert(0, tools)
runpy.run_path(tools + '/train.py', run_name='__main__')
assert not any(name.startswith('mmdet.') for name in sys.modules)
"""
# Plain mmpretrain, in a process that cannot import mmdeepkd.
OPEN_IN_PLAIN_MMPRETRAIN = """
import json, sys
sys.modules['mmdeepkd'] = None
import torch
from mmengine.hub import get_config
from mmpretrain import ImageClassificationInferencer, get_model
checkpoint, image, answer = sys.argv[1:]
saved = torch.load(checkpoint, weights_only=True)
config = get_config('mmpretrain::resnet/resnet18_8xb32_in1k.py')
model = get_model(config, pretrained=checkpoint, device='cpu')
keys = model.load_state_dict(saved['state_dict'], strict=False)
scores = ImageClassificationInferencer(model)(image)[0]['pred_scores']
assert not any(name.startswith('mmdeepkd.') for name in sys.modules)
# Not by stdout, where a progress bar may have the last word.
open(answer, 'w').write(json.dumps(dict(
    missing=keys.missing_keys, unexpected=keys.unexpected_keys,
    scores=scores.tolist(), meta=sorted(saved))))
"""


def write_teacher(config, path):
    """Save random weights of the teacher of a distillation config."""
    cfg = Config.fromfile(ROOT / config)
    teacher = resolve_model_config(cfg.model.teacher, 'teacher')
    torch.manual_seed(0)
    torch.save(build_classifier(teacher).state_dict(), path)
    return path


def train(config, folder, options, processes=1):
    """Train three iterations; return the rows of the log."""
    work_dir = folder / 'work'
    batch = BATCH // processes
    options = [
        '--work-dir', work_dir, '--cfg-options', *SHORT, *options,
        f'train_dataloader.batch_size={batch}'
    ]
    if processes == 1:
        run_python(TRAIN_WITHOUT_MMDET, ROOT / 'tools', config, *options)
    else:
        run_tool('dist_train.sh', config, processes, *options,
                 env=dict(PORT=free_port()))
    path, = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if 'loss' in row]


def check(rows, topk):
    assert len(rows) == 3
    for row in rows:
        assert math.isfinite(row['loss'])
        assert row['target.loss_deepkd'] > 0 < row['non_target.loss_deepkd']
        # The task weight is part of the logged value.
        assert row['loss'] == pytest.approx(
            row['loss_cls'] + row['target.loss_deepkd'] +
            row['non_target.loss_deepkd'], rel=1e-4)
        # One epoch is the end of the schedule: every class.
        assert row['topk'] == topk


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory):
    """Options that point the ImageNet config at twelve images."""
    root = tmp_path_factory.mktemp('imagenet')
    write_imagenet(root / 'data')
    teacher = write_teacher(IMAGENET, root / 'teacher.pth')
    yield root / 'data', [
        f'model.teacher_checkpoint={teacher}',
        f'train_dataloader.dataset.data_root={root}/data',
        f'val_dataloader.dataset.data_root={root}/data',
        'train_dataloader.dataset.pipeline.1.scale=64'
    ]
    teacher.unlink()  # 90 MB


@pytest.fixture(scope='module')
def trained_imagenet(imagenet, tmp_path_factory):
    """Rows of the log and checkpoint of a run."""
    folder = tmp_path_factory.mktemp('trained')
    rows = train(IMAGENET, folder, imagenet[1])
    checkpoint = folder / 'work' / 'epoch_1.pth'
    yield rows, checkpoint
    checkpoint.unlink()  # 140 MB


@pytest.fixture(scope='module')
def cifar(tmp_path_factory):
    """Options that point the CIFAR-100 config at twelve images."""
    root = tmp_path_factory.mktemp('cifar')
    write_cifar(root / 'data')
    teacher = write_teacher(CIFAR, root / 'teacher.pth')
    options = [f'model.teacher_checkpoint={teacher}']
    for loader in ('train', 'val', 'test'):
        options += [
            f'{loader}_dataloader.dataset.type={CIFAR_DATASET}',
            f'{loader}_dataloader.dataset.data_root={root}/data'
        ]
    return options


def test_the_imagenet_config_trains(trained_imagenet):
    check(trained_imagenet[0], topk=999)


def test_the_imagenet_config_trains_in_two_processes(imagenet, tmp_path):
    check(train(IMAGENET, tmp_path, [
        *imagenet[1], 'default_hooks.checkpoint=None'], processes=2), 999)


def test_the_checkpoint_opens_in_plain_mmpretrain(
        trained_imagenet, imagenet, tmp_path):
    """With nothing missing or unexpected, in a process without mmdeepkd."""
    _, checkpoint = trained_imagenet
    image = next((imagenet[0] / 'val').glob('*/*.JPEG'))
    answer = tmp_path / 'answer.json'
    run_python(OPEN_IN_PLAIN_MMPRETRAIN, checkpoint, image, answer,
               cwd=tmp_path)
    plain = json.loads(answer.read_text())

    assert plain['missing'] == plain['unexpected'] == []
    assert {'meta', 'state_dict', 'optimizer', 'message_hub'} <= set(
        plain['meta'])
    torch.testing.assert_close(
        torch.tensor(plain['scores']),
        distiller_scores(imagenet, checkpoint, image), rtol=1e-4, atol=1e-7)


def distiller_scores(imagenet, checkpoint, image):
    """Scores of the distiller that wrote the checkpoint."""
    cfg = Config.fromfile(ROOT / IMAGENET)
    cfg.merge_from_dict(dict(opt.split('=') for opt in imagenet[1][:1]))
    cfg.model.data_preprocessor = cfg.data_preprocessor
    distiller = build_classifier(cfg.model)
    load_checkpoint(distiller, str(checkpoint), strict=True)
    distiller._config = Config.fromfile(ROOT / IMAGENET)
    # The pipeline of mmpretrain's own config, which the other side used.
    distiller._config.test_dataloader.dataset.pipeline[1].backend = 'cv2'
    distiller._dataset_meta = {}
    inferencer = ImageClassificationInferencer(distiller.eval())
    return torch.tensor(inferencer(str(image))[0]['pred_scores'])


def test_evaluation_needs_no_teacher(trained_imagenet, imagenet, tmp_path):
    result = run_tool(
        'test.py', IMAGENET, trained_imagenet[1], '--work-dir', tmp_path,
        '--cfg-options', 'model.teacher_checkpoint=/nowhere/teacher.pth',
        'test_dataloader.num_workers=0', 'test_dataloader.batch_size=4',
        'test_dataloader.persistent_workers=False',
        f'test_dataloader.dataset.data_root={imagenet[0]}')

    assert 'accuracy/top1' in result.stdout + result.stderr


def test_the_cifar_config_trains(cifar, tmp_path):
    check(train(CIFAR, tmp_path, cifar), topk=99)

    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=True)
    student = build_classifier(resolve_model_config(
        mmdeepkd.config_path(CIFAR.split('/', 1)[1]), 'student'))
    assert saved['state_dict'].keys() == student.state_dict().keys()


def test_the_cifar_config_trains_in_two_processes(cifar, tmp_path):
    check(train(CIFAR, tmp_path, cifar, processes=2), topk=99)


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module('common')


@pytest.mark.parametrize('dataset, key, path', [
    (dict(type='mmpretrain.ImageNet', data_root='/nowhere', split='val'),
     'data_root', '/nowhere'),
    (dict(type='CustomDataset', data_root='{root}', data_prefix='nowhere'),
     'data_prefix', '{root}/nowhere'),
    (dict(type='CIFAR100', data_root='/nowhere', download=False),
     'data_root', '/nowhere'),
])
def test_a_dataset_that_is_not_there(dataset, key, path, common, tmp_path):
    dataset = {k: v.format(root=tmp_path) if isinstance(v, str) else v
               for k, v in dataset.items()}
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(SystemExit, match=(
            f'the dataset is not there: {path.format(root=tmp_path)} '
            rf'\(train_dataloader\.dataset\.{key} of ')):
        common.check_datasets(cfg, ['train_dataloader'])


@pytest.mark.parametrize('dataset', [
    dict(type='mmpretrain.CIFAR100', data_root='/nowhere', split='train'),
    dict(type='mmpretrain.ImageNet', data_root='{root}', split='val'),
    dict(type='mmpretrain.CustomDataset', data_prefix='{root}'),
])
def test_a_dataset_that_is_there_or_will_be(dataset, common, tmp_path):
    dataset = {k: v.format(root=tmp_path) for k, v in dataset.items()}
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))

    common.check_datasets(cfg, ['train_dataloader'])


def test_the_evaluated_student_has_the_distillers_preprocessor(
        common, monkeypatch, tmp_path):
    config = tmp_path / 'kd.py'
    config.write_text(
        "model = dict(type='D', student=dict(type='Net'),\n"
        '             data_preprocessor=dict(mean=[1.]))\n')
    built, hooks = [], []
    monkeypatch.setattr(
        common, 'build_runner',
        lambda cfg: built.append(cfg) or SimpleNamespace(
            test=lambda: None, register_hook=hooks.append))
    monkeypatch.setattr(
        sys, 'argv', ['test.py', str(config), 'net.pth'])
    runpy.run_path(str(ROOT / 'tools' / 'test.py'), run_name='__main__')

    assert built[0].model == dict(
        type='Net', data_preprocessor=dict(mean=[1.]))
    assert built[0].load_from == 'net.pth'
    assert [type(hook) for hook in hooks] == [StudentWeightsHook]


def test_the_adapters_of_a_distilled_student_are_no_surprise(tmp_path):
    """One line tells of them; what else does not match is listed."""
    config = mmdeepkd.config_path(
        'digits100/diffkd_resnet8w32_resnet8w4.py')
    student = build_classifier(resolve_model_config(config, 'student'))
    state = student.state_dict()
    state.update({f'distill.diffkd.map.layers.{i}': torch.ones(1)
                  for i in range(5)})
    state['neck.unknown'] = torch.ones(1)
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'run.pth')
    result = run_tool(
        'test.py', config, tmp_path / 'run.pth', '--work-dir', tmp_path,
        '--cfg-options', 'model.teacher_checkpoint=/nowhere/teacher.pth',
        'test_dataloader.dataset.indices=8', 'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False')
    said = result.stdout + result.stderr

    assert 'accuracy/top1' in said
    assert said.count('the checkpoint was distilled: its 5 tensors (') == 1
    assert said.count('distill.diffkd.map.') == 3
    assert 'unexpected key in source state_dict: neck.unknown\n' in said
