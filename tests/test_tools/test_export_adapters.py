"""tools/export_student.py on runs that trained adapters beside the student."""
import json

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hooks import EMAHook

from tests.helpers import classifiers, distillers
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.one_stage import retinanet
from tests.helpers.processes import run_python, run_tool
from tests.helpers.training import run_training

OPTIMIZER = dict(type='SGD', lr=0.05, momentum=0.9)
WRAPPER = dict(
    type='mmdeepkd.DeepKDOptimWrapper', offsets=dict(task=0.05, feature=0.),
    optimizer=OPTIMIZER)
LOSSES = dict(
    detector=[dict(type='mmdeepkd.DiffKDLoss')],
    classifier=[dict(type='mmdeepkd.DiffKDLoss'),
                dict(type='mmdeepkd.DiffKDLogitsLoss')])
# Loads the exported file, then the checkpoint of the run as it is.
OPEN_IN_PLAIN_OPENMMLAB = """
import json, sys
sys.modules['mmdeepkd'] = None
import torch
from mmdet.apis import init_detector
from mmdet.structures import DetDataSample
from mmpretrain import get_model
folder = sys.argv[1]
image = torch.arange(3 * 64 * 64).reshape(3, 64, 64) % 256
answers = {}
for kind in ('detector', 'classifier'):
    config, out = f'{folder}/{kind}/out.py', f'{folder}/{kind}/out.pth'
    model = (init_detector(config, out, device='cpu') if kind == 'detector'
             else get_model(config, pretrained=out, device='cpu'))
    batch = dict(inputs=[image])
    if kind == 'detector':
        batch['data_samples'] = [DetDataSample(metainfo=dict(
            img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1., 1.)))]
    for file in ('out', 'run'):
        saved = torch.load(f'{folder}/{kind}/{file}.pth', weights_only=True)
        keys = model.load_state_dict(saved['state_dict'], strict=False)
        found = model.test_step(batch)[0]
        answers[f'{kind} {file}'] = dict(
            missing=keys.missing_keys, unexpected=keys.unexpected_keys,
            found=(found.pred_instances.bboxes if kind == 'detector'
                   else found.pred_score).tolist())
assert not any(name.startswith('mmdeepkd.') for name in sys.modules)
open(f'{folder}/answers.json', 'w').write(json.dumps(answers))
"""


def model_of(kind, folder):
    """The config of a distiller, over a random teacher."""
    helper = distillers if kind == 'detector' else classifiers
    student, teacher = (
        (retinanet(), retinanet(width=6)) if kind == 'detector' else
        (classifiers.resnet(num_classes=100),
         classifiers.resnet(num_classes=100, width=6)))
    return helper.distiller_config(
        student, teacher,
        helper.write_teacher(teacher, folder / 'teacher.pth'),
        losses=LOSSES[kind])


def config_of(kind, model, folder):
    """A config whose validation data are not there."""
    if kind == 'detector':
        pipeline = [dict(type='LoadImageFromFile'),
                    dict(type='Resize', scale=(64, 64)),
                    dict(type='PackDetInputs')]
        dataset = dict(type='CocoDataset', pipeline=pipeline,
                       metainfo=dict(classes=('zero', 'one', 'two')))
    else:
        dataset = dict(type='CIFAR100', split='test',
                       pipeline=[dict(type='PackInputs')])
    loader = dict(dataset=dict(dataset, data_root=str(folder / 'nowhere')))
    Config(dict(
        default_scope='mmdet' if kind == 'detector' else 'mmpretrain',
        model=model, val_dataloader=loader, test_dataloader=loader
    )).dump(folder / 'config.py')
    return folder / 'config.py'


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Distillers that were trained, and what plain OpenMMLab made of them."""
    root = tmp_path_factory.mktemp('runs')
    models, said = {}, {}
    for kind in LOSSES:
        folder = root / kind
        folder.mkdir()
        model = model_of(kind, folder)
        train = run_training if kind == 'detector' else train_classifier
        hooks = [] if kind == 'detector' else [EMAHook(momentum=0.3)]
        options = {} if kind == 'detector' else dict(
            images=dict(images=10, num_classes=100))
        runner, _ = train(model, WRAPPER, folder / 'work', iterations=3,
                          custom_hooks=hooks, **options)
        runner.save_checkpoint(str(folder), 'run.pth', by_epoch=False)
        models[kind] = hooks[0].ema_model.module if hooks else runner.model
        said[kind] = run_tool(
            'export_student.py', config_of(kind, model, folder),
            folder / 'run.pth', folder / 'out.pth', '--check').stdout
    # The message hub of MMEngine's own runner is an object.
    for kind in LOSSES:
        file = root / kind / 'run.pth'
        torch.save(dict(state_dict=torch.load(
            file, weights_only=False)['state_dict']), file)
    run_python(OPEN_IN_PLAIN_OPENMMLAB, root, cwd=root)
    return root, models, said, json.loads(
        (root / 'answers.json').read_text())


def adapters(state):
    return [name for name in state if name.startswith('distill.')]


@pytest.mark.parametrize('kind', LOSSES)
def test_an_exported_student_has_no_adapters(kind, runs):
    root, models, said, answers = runs
    written = torch.load(root / kind / 'out.pth', weights_only=True)
    state = models[kind].state_dict()

    assert adapters(state) and not adapters(written['state_dict'])
    assert f'{len(state) - len(adapters(state))} tensors' in said[kind]
    assert 'checked on a random image' in said[kind]
    assert 'mmdeepkd must be installed' not in said[kind]
    answer = answers[f'{kind} out']
    assert answer['missing'] == answer['unexpected'] == []


@pytest.mark.parametrize('kind', LOSSES)
def test_of_the_runs_own_file_only_adapters_are_unexpected(kind, runs):
    _, models, _, answers = runs
    answer = answers[f'{kind} run']

    assert answer['missing'] == []
    assert sorted(answer['unexpected']) == sorted(
        adapters(models[kind].state_dict()))


@pytest.mark.parametrize('kind', LOSSES)
def test_the_predictions_are_the_distillers(kind, runs):
    _, models, _, answers = runs
    batch = dict(
        inputs=[torch.arange(3 * 64 * 64).reshape(3, 64, 64) % 256])
    if kind == 'detector':
        batch['data_samples'] = [DetDataSample(metainfo=dict(
            img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1., 1.)))]
    found = models[kind].eval().test_step(batch)[0]
    found = (found.pred_instances.bboxes if kind == 'detector' else
             found.pred_score).tolist()

    assert found and len(found) > 1
    assert answers[f'{kind} out']['found'] == found
    assert answers[f'{kind} run']['found'] == found
