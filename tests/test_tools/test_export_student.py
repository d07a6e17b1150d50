"""tools/export_student.py: what it writes, who opens it, what it refuses."""
import importlib
import io
import json
import sys
from contextlib import redirect_stdout

import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint

from mmdeepkd.distillers import resolve_model_config, student_config
from tests.helpers import classifiers
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    write_teacher,
)
from tests.helpers.processes import ROOT, run_python, run_tool
from tests.helpers.training import equal_tensors, run_training

CLASSES = ('zero', 'one', 'two')
# The digits scenes with three of their classes.
CONFIG = """
_base_ = [__import__('mmdeepkd').config_path(
    'digits/deepkd_frcnn_r18w32_r18w16.py')]
custom_imports = dict(imports=['mmdeepkd'])
model = dict(
    teacher='{folder}/teacher.py',
    teacher_checkpoint='{folder}/teacher.pth',
    student=dict(roi_head=dict(bbox_head=dict(num_classes=3))))
metainfo = dict(classes=('zero', 'one', 'two'))
val_dataloader = dict(dataset=dict(data_root='{data}/', metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root='{data}/', metainfo=metainfo))
"""
TEACHER = """
_base_ = [__import__('mmdeepkd').config_path(
    'digits/teacher_frcnn_r18w32.py')]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
"""
OPEN_IN_PLAIN_MMDET = """
import json, sys
sys.modules['mmdeepkd'] = None
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
config, checkpoint, image = sys.argv[1:]
saved = torch.load(checkpoint, weights_only=True)
model = init_detector(config, checkpoint, device='cpu')
keys = model.load_state_dict(saved['state_dict'], strict=False)
found = inference_detector(model, image).pred_instances
# Without a config: it is in the file.
inferencer = DetInferencer(weights=checkpoint, device='cpu')
again = inferencer(image, pred_score_thr=0)['predictions'][0]
assert not any(name.startswith('mmdeepkd.') for name in sys.modules)
print()
print(json.dumps(dict(
    missing=keys.missing_keys, unexpected=keys.unexpected_keys,
    boxes=found.bboxes.tolist(), again=again['bboxes'],
    classes=model.dataset_meta['classes'],
    names=inferencer.model.dataset_meta['classes'])))
"""
OPEN_IN_PLAIN_MMPRETRAIN = """
import json, sys
sys.modules['mmdeepkd'] = None
import numpy, torch
from mmpretrain import ImageClassificationInferencer, get_model
config, checkpoint, answer = sys.argv[1:]
saved = torch.load(checkpoint, weights_only=True)
model = get_model(config, pretrained=checkpoint, device='cpu')
keys = model.load_state_dict(saved['state_dict'], strict=False)
batch = dict(inputs=[torch.arange(3072).reshape(3, 32, 32) % 256])
scores = model.test_step(batch)[0].pred_score
assert not any(name.startswith('mmdeepkd.') for name in sys.modules)
open(answer, 'w').write(json.dumps(dict(
    missing=keys.missing_keys, unexpected=keys.unexpected_keys,
    scores=scores.tolist(), classes=model._dataset_meta['classes'])))
"""


@pytest.fixture(scope='module')
def run(digits, tmp_path_factory):
    """Config and checkpoint of a distillation, as a run saves it."""
    folder = tmp_path_factory.mktemp('run')
    config = folder / 'own.py'
    config.write_text(CONFIG.format(folder=folder, data=digits))
    (folder / 'teacher.py').write_text(TEACHER)
    torch.manual_seed(0)
    teacher = build_detector(
        resolve_model_config(folder / 'teacher.py', 'teacher'))
    torch.save(teacher.state_dict(), folder / 'teacher.pth')
    student = build_detector(student_config(Config.fromfile(config).model))
    student.init_weights()
    # Adapters of a distiller, and what MMEngine's Runner adds.
    state = student.state_dict()
    state['distill.adapter.weight'] = torch.ones(2)
    hub = dict(log_scalars={'train/loss': HistoryBuffer([1.0], [1])})
    torch.save(
        dict(
            meta=dict(
                epoch=2, iter=8, seed=3, cfg='model = None', hook_msgs={},
                dataset_meta=dict(classes=CLASSES)),
            state_dict=state,
            message_hub=hub,
            optimizer=dict(state={0: torch.ones(9)})), folder / 'epoch_2.pth')
    return config, folder / 'epoch_2.pth'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setenv('LOCAL_RANK', '0')
    before = set(sys.modules)
    yield importlib.import_module('export_student')
    for name in set(sys.modules) - before:
        if name.split('.')[0] in ('export_student', 'export_steps', 'common'):
            del sys.modules[name]


@pytest.fixture
def export(tool, monkeypatch, tmp_path):
    """Run the tool's main; return what it says and the file."""

    def run(config, checkpoint, *arguments):
        out = tmp_path / 'out' / 'student.pth'
        monkeypatch.setattr(sys, 'argv', [
            'export_student.py', str(config), str(checkpoint), str(out),
            *map(str, arguments)])
        # Not capsys: a logger of MMEngine would keep its closed stream.
        with redirect_stdout(io.StringIO()) as said:
            tool.main()
        return said.getvalue(), torch.load(out, weights_only=True)

    return run


@pytest.fixture
def failure(export, tmp_path):
    """Run the tool, which must write nothing; return its sentence."""

    def run(*arguments):
        before = sorted(tmp_path.glob('out/*'))
        with pytest.raises(SystemExit) as stopped:
            export(*arguments)
        assert sorted(tmp_path.glob('out/*')) == before
        text = str(stopped.value)
        assert text.startswith('export_student: ')
        return text

    return run


def changed(checkpoint, path, change):
    """Save a checkpoint after a change."""
    saved = torch.load(checkpoint, weights_only=False)
    change(saved)
    torch.save(saved, path)
    return path


def distiller_boxes(config, checkpoint, image):
    """Boxes of the distiller that wrote the checkpoint."""
    cfg = Config.fromfile(config)
    distiller = build_detector(cfg.model)
    load_checkpoint(distiller, str(checkpoint), strict=False)
    distiller.cfg = cfg
    return inference_detector(
        distiller.eval(), image).pred_instances.bboxes.tolist()


def test_plain_mmdet_detects_the_same_without_mmdeepkd(run, digits, tmp_path):
    """As a user runs it, on a set of three classes."""
    out = tmp_path / 'student.pth'
    said = run_tool('export_student.py', *run, out, '--check').stdout
    image = str(digits / 'val' / '000000.png')
    plain = json.loads(
        run_python(OPEN_IN_PLAIN_MMDET, out.with_suffix('.py'), out, image,
                   cwd=tmp_path).stdout.splitlines()[-1])

    assert f'{out}: 150 tensors, 3 classes; ' in said
    assert 'checked on 2 validation images: ' in said
    assert 'mmdeepkd must be installed' not in said
    assert plain['missing'] == plain['unexpected'] == []
    assert plain['boxes'] == distiller_boxes(*run, image)
    assert plain['boxes'] == plain['again'] != []
    assert tuple(plain['classes']) == tuple(plain['names']) == CLASSES


def test_weights_and_metadata_are_all_that_is_written(run, export):
    _, written = export(*run)
    state = torch.load(run[1], weights_only=False)['state_dict']
    del state['distill.adapter.weight']

    assert set(written) == {'meta', 'state_dict'}
    assert equal_tensors(written['state_dict'], state)
    meta = written['meta']
    assert set(meta) == {'cfg', 'dataset_meta', 'epoch', 'iter', 'seed'}
    assert (meta['epoch'], meta['iter'], meta['seed']) == (2, 8, 3)
    assert meta['dataset_meta']['classes'] == CLASSES
    assert len(meta['dataset_meta']['palette']) >= 3
    assert 'mmdeepkd' not in meta['cfg']
    cfg = Config.fromstring(meta['cfg'], '.py')
    assert cfg.model == student_config(Config.fromfile(run[0]).model)
    assert 'train_dataloader' not in cfg and 'optim_wrapper' not in cfg


def test_the_exported_config_is_the_one_in_the_file(run, export, tmp_path):
    _, written = export(*run)
    text = (tmp_path / 'out' / 'student.py').read_text()

    assert text == written['meta']['cfg']
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'student.pth', 'student.py']


@pytest.mark.parametrize('meta, classes, warned', [
    (dict(), CLASSES, False),
    (dict(CLASSES=('a', 'b', 'c')), ('a', 'b', 'c'), False),
    (dict(dataset_meta=dict(CLASSES=('a', 'b', 'c'))), ('a', 'b', 'c'), False),
    (dict(), None, True),
])
def test_classes_are_not_lost(meta, classes, warned, run, export, tmp_path):
    old = changed(run[1], tmp_path / 'old.pth',
                  lambda saved: saved.update(meta=meta))
    options = []
    if warned:
        # A data set whose classes are those of its folders.
        options = ['--cfg-options', 'val_dataloader.dataset.metainfo=None',
                   'val_dataloader.dataset.type=mmpretrain.CustomDataset']
    said, written = export(run[0], old, *options)

    assert ('warning: neither the checkpoint nor the config names the '
            'classes' in said) == warned
    found = written['meta'].get('dataset_meta', {})
    assert found.get('classes') == classes
    assert ('palette' in found) == (classes == CLASSES)


@pytest.fixture(scope='module')
def ema_run(tmp_path_factory):
    """Config, checkpoint, average and trained weights of a run with EMA."""
    folder = tmp_path_factory.mktemp('ema')
    net = faster_rcnn()
    distiller = distiller_config(
        net, net, write_teacher(net, folder / 'teacher.pth'))
    hook = EMAHook(momentum=0.3)
    runner, _ = run_training(
        distiller, dict(optimizer=dict(type='SGD', lr=0.05)),
        folder / 'work', iterations=2, custom_hooks=[hook])
    runner.save_checkpoint(str(folder), 'ema.pth', by_epoch=False)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='PackDetInputs')]
    dataset = dict(type='CocoDataset', data_root='/nowhere', pipeline=pipeline)
    Config(dict(
        default_scope='mmdet', model=net,
        val_dataloader=dict(dataset=dataset))).dump(folder / 'config.py')
    return (folder / 'config.py', folder / 'ema.pth',
            hook.ema_model.module.state_dict(), runner.model.state_dict())


def test_of_an_averaged_run_the_average_is_exported(ema_run, export):
    """As MMEngine's EMAHook saves it."""
    config, checkpoint, average, trained = ema_run
    said, written = export(config, checkpoint)

    assert ' (the average of EMAHook), ' in said
    assert equal_tensors(written['state_dict'], average)
    assert not equal_tensors(average, trained)
    said, written = export(config, checkpoint, '--raw', '--force')
    assert ' (as trained), ' in said
    assert equal_tensors(written['state_dict'], trained)


def test_the_check_knows_the_average_from_the_trained_weights(
        ema_run, export, failure, tool, monkeypatch):
    config, checkpoint, _, _ = ema_run
    export(config, checkpoint, '--check')
    export(config, checkpoint, '--check', '--raw', '--force')
    pick_tensors = tool.pick_tensors
    monkeypatch.setattr(
        tool, 'pick_tensors',
        lambda loaded, source, raw: pick_tensors(loaded, source, not raw))

    for options in ((), ('--raw', )):
        text = failure(config, checkpoint, '--check', '--force', *options)
        assert ' differ from what MMEngine loads from the checkpoint' in text


def without_names(saved):
    saved['meta'] = {}


def test_names_of_another_number_in_the_file_are_refused(run, failure,
                                                         tmp_path):
    two = changed(run[1], tmp_path / 'two.pth', lambda saved: saved.update(
        meta=dict(dataset_meta=dict(classes=('a', 'b')))))

    assert ('the checkpoint names 2 classes (a, b, ...) and the student has '
            '3: give the config and the checkpoint of one run') in failure(
                run[0], two)


def test_names_of_another_number_in_the_config_are_refused(run, failure,
                                                           tmp_path):
    unnamed = changed(run[1], tmp_path / 'unnamed.pth', without_names)

    assert "the config's metainfo names 1 classes (zero, ...)" in failure(
        run[0], unnamed, '--cfg-options',
        'val_dataloader.dataset.metainfo.classes=["zero"]')


def test_the_default_names_of_a_data_set_are_not_given_to_others(
        run, export, tmp_path):
    """Those of COCO to a student of three classes."""
    unnamed = changed(run[1], tmp_path / 'unnamed.pth', without_names)
    said, written = export(run[0], unnamed, '--cfg-options',
                           'val_dataloader.dataset.metainfo=None')

    assert ('warning: the default of CocoDataset names 80 classes (person, '
            'bicycle, car, ...) and the student has 3, so they are left out: '
            'set metainfo=dict(classes=(...)) of val_dataloader.dataset'
            ) in said
    assert 'dataset_meta' not in written['meta']


@pytest.mark.parametrize('key', ['metainfo.classes', 'classes'])
def test_a_file_of_names_is_read(key, run, export, tmp_path):
    """As data sets do; mmpretrain's have an argument of their own, too."""
    unnamed = changed(run[1], tmp_path / 'unnamed.pth', without_names)
    options = ['--cfg-options', f'val_dataloader.dataset.{key}='
               f'{tmp_path}/names.txt']
    if key == 'classes':
        options.append('val_dataloader.dataset.metainfo=None')
    said, written = export(run[0], unnamed, *options)
    path = f"'{tmp_path}/names.txt'"
    assert (f'names the classes {path}, which is no file with a name in each '
            'line') in said
    assert 'dataset_meta' not in written['meta']
    (tmp_path / 'names.txt').write_text('a\nb\nc\n')
    said, written = export(run[0], unnamed, '--force', *options)

    assert written['meta']['dataset_meta']['classes'] == ['a', 'b', 'c']
    assert 'warning' not in said


@pytest.mark.parametrize('head', ['roi_head.bbox_head', 'bbox_head', 'head'])
def test_where_models_keep_the_number_of_their_classes(head, tool):
    model = part = torch.nn.Module()
    for name in head.split('.'):
        part.add_module(name, torch.nn.Module())
        part = getattr(part, name)
    assert tool.count_classes(model) is None
    part.num_classes = 7
    assert tool.count_classes(model) == 7
    cascade = torch.nn.Module()
    cascade.roi_head = torch.nn.Module()
    cascade.roi_head.bbox_head = torch.nn.ModuleList([part])
    assert tool.count_classes(cascade) == 7


def test_raw_weights_of_a_run_without_an_average(run, failure):
    assert 'holds no ema_state_dict: its run had no EMAHook' in failure(
        *run, '--raw')


@pytest.mark.parametrize('prefix', ['architecture.', 'student.', 'module.'])
def test_a_student_inside_another_model_is_found(prefix, run, export,
                                                 tmp_path):
    def wrap(saved):
        state = saved['state_dict']
        del state['distill.adapter.weight']
        saved['state_dict'] = {
            **{prefix + key: value for key, value in state.items()},
            **{f'teacher.{key}': value + 1 for key, value in state.items()}}

    _, expected = export(*run)
    wrapped = changed(run[1], tmp_path / 'wrapped.pth', wrap)
    _, written = export(run[0], wrapped, '--force')

    assert equal_tensors(written['state_dict'], expected['state_dict'])


def test_another_student_is_refused(run, failure, tmp_path):
    def change(saved):
        state = saved['state_dict']
        state['neck.extra'] = torch.ones(1)
        del state['backbone.conv1.weight']
        state['rpn_head.rpn_cls.bias'] = torch.ones(7)

    other = changed(run[1], tmp_path / 'other.pth', change)
    text = failure(run[0], other)

    assert (f"{other} does not hold the config's student (150 tensors): 1 "
            'missing (backbone.conv1.weight); 1 unexpected (neck.extra); 1 '
            'of another shape (rpn_head.rpn_cls.bias: (7,) in the file, '
            ) in text
    assert text.endswith('Give the config that it was trained with.')


def test_files_that_exist_are_kept(run, export, failure, tmp_path):
    export(*run)
    out = tmp_path / 'out' / 'student.pth'
    out.unlink()
    text = failure(*run)

    assert text.endswith('student.py exists already: give another OUT, or '
                         '--force to replace it.')
    export(*run, '--force')
    before = out.read_bytes()
    assert 'student.pth exists already' in failure(*run)
    assert out.read_bytes() == before


def test_what_torch_refuses_is_not_written(run, failure, tmp_path):
    config = run[0].with_name('palette.py')
    config.write_text(
        f"_base_ = ['{run[0]}']\n"
        'val_dataloader = dict(dataset=dict(\n'
        '    metainfo=dict(palette=range(3))))\n')

    assert 'the metainfo of the data set holds more than lists, ' in failure(
        config, run[1])


def break_tensor(tool, monkeypatch):
    plain_state = tool.plain_state

    def lose(model):
        state = plain_state(model)
        state['roi_head.bbox_head.fc_cls.bias'] += 0.5
        return state

    monkeypatch.setattr(tool, 'plain_state', lose)
    return ('1 of the exported tensors (roi_head.bbox_head.fc_cls.bias) '
            'differ from what MMEngine loads')


def break_config(change):
    """Return what makes the plain config that of another student."""
    def apply(tool, monkeypatch):
        plain_config = tool.plain_config

        def other(cfg):
            plain = plain_config(cfg)
            change(plain)
            return plain

        monkeypatch.setattr(tool, 'plain_config', other)
        return 'the exported student predicts something else than the '

    return apply


def other_pixels(plain):
    plain.model.data_preprocessor.mean = [0., 0., 0.]


def other_test_cfg(plain):
    plain.model.test_cfg.rcnn.score_thr = 0.9


def other_pipeline(plain):
    steps = plain.val_dataloader.dataset.pipeline
    resize, = (step for step in steps if step['type'] == 'mmdet.Resize')
    resize.scale = (96, 96)


@pytest.mark.parametrize('what', [
    break_tensor, break_config(other_pixels), break_config(other_test_cfg),
    break_config(other_pipeline)],
    ids=['tensor', 'pixels', 'test_cfg', 'pipeline'])
def test_a_failed_check_leaves_nothing(what, run, failure, tool, monkeypatch):
    said = what(tool, monkeypatch)

    assert said in failure(*run, '--check')


def test_the_check_makes_do_with_a_random_image(run, export):
    said, _ = export(*run, '--check', '--cfg-options',
                     'val_dataloader.dataset.data_root=/nowhere')

    assert 'checked on a random image: 9 tensors of predictions' in said


@pytest.mark.parametrize('content, said', [
    ([1], 'is a list, not a dict of tensors'),
    (dict(state_dict=[1]), "['state_dict'] is a list, not a dict of"),
    (dict(state_dict={}), 'does not hold the config'),
    (None, 'there is no checkpoint '),
])
def test_files_without_a_student(content, said, run, failure, tmp_path):
    if content is not None:
        torch.save(content, tmp_path / 'in.pth')

    assert said in failure(run[0], tmp_path / 'in.pth')


def test_a_target_that_is_no_checkpoint(tool):
    with pytest.raises(ValueError, match='OUT must end in .pth, got a.py: '):
        tool.check_target(tool.Path('a.py'), False)


def test_plain_mmpretrain_classifies_the_same_without_mmdeepkd(
        export, tmp_path):
    """Trained with two views; the data are not there."""
    student = classifiers.resnet(num_classes=100)
    pixels = dict(student.pop('data_preprocessor'),
                  type='mmdeepkd.TwoViewDataPreprocessor')
    teacher = classifiers.resnet(num_classes=100, width=8)
    distiller = classifiers.make_distiller(
        tmp_path, student, teacher, data_preprocessor=pixels,
        losses=dict(type='mmdeepkd.MLKDLoss'))
    torch.save(dict(state_dict=distiller.state_dict()), tmp_path / 'in.pth')
    dataset = dict(type='mmpretrain.CIFAR100', data_root=str(tmp_path / 'no'),
                   split='test', pipeline=[dict(type='mmpretrain.PackInputs')])
    config = tmp_path / 'config.py'
    Config(dict(
        default_scope='mmpretrain',
        model=classifiers.distiller_config(student, teacher, 'teacher.pth'),
        data_preprocessor=pixels,
        default_hooks=dict(
            logger=dict(type='LoggerHook'),
            topk=dict(type='mmdeepkd.DynamicTopKHook')),
        val_dataloader=dict(dataset=dataset),
        test_dataloader=dict(dataset=dataset))).dump(config)
    said, _ = export(config, tmp_path / 'in.pth', '--check')
    out = tmp_path / 'out' / 'student.pth'
    run_python(OPEN_IN_PLAIN_MMPRETRAIN, out.with_suffix('.py'), out,
               tmp_path / 'answer.json', cwd=tmp_path)
    plain = json.loads((tmp_path / 'answer.json').read_text())
    image = torch.arange(3072).reshape(3, 32, 32) % 256
    scores = distiller.eval().test_step(dict(inputs=[image]))[0].pred_score

    assert 'checked on a random image: ' in said
    assert 'must be installed' not in said
    assert plain['missing'] == plain['unexpected'] == []
    torch.testing.assert_close(torch.tensor(plain['scores']), scores)
    assert len(plain['classes']) == 100


def test_a_network_of_mmdeepkd_is_named(export, tmp_path):
    config = ROOT / 'configs' / 'digits100' / 'kd_resnet8w32_resnet8w4.py'
    model = classifiers.build_classifier(
        student_config(Config.fromfile(config).model))
    torch.save(model.state_dict(), tmp_path / 'in.pth')
    said, written = export(config, tmp_path / 'in.pth', '--check')

    assert 'checked on 4 validation images: ' in said
    assert ('mmdeepkd must be installed where the config is used, for its '
            'mmdeepkd.CifarResNet, mmdeepkd.Digits100') in said
    assert len(written['meta']['dataset_meta']['classes']) == 100
