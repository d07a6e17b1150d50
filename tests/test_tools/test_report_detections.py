"""The section of tools/analysis/report.py that runs detectors."""
import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from tests.helpers.work_dirs import write_plain_run
from tools.analysis.report_steps import detections as section_of
from tools.analysis.report_steps.detecting import (
    Found,
    Scene,
    contents,
    detect,
    load,
    load_data,
    load_scenes,
)
from tools.analysis.report_steps.detections import detections
from tools.analysis.report_steps.layout import choose_colors
from tools.analysis.report_steps.models import (
    Detector,
    find_detectors,
    is_detector,
)
from tools.analysis.report_steps.runs import read_run
from tools.demo_steps.pictures import Detection
from tools.export_steps.evaluated import build_model
from tools.export_steps.plain_config import plain_config


@pytest.fixture
def make_run(tmp_path, write_config):
    """Make the work dir of a run whose detector has random weights."""

    def make(name, extra='', seed=0, plain=False):
        folder = write_plain_run(tmp_path / name, 'coco/bbox_mAP', (0.2, 0.3))
        cfg = Config.fromfile(write_config(tmp_path / 'own.py', extra))
        torch.manual_seed(seed)
        model = build_model(plain_config(cfg))
        model.init_weights()
        torch.save(dict(state_dict=model.state_dict()), folder / 'last.pth')
        if plain:
            cfg.model = plain_config(cfg).model
        cfg.dump(next(folder.glob('*/vis_data')) / 'config.py')
        # As of a folder that was moved since.
        (folder / 'last_checkpoint').write_text('/elsewhere/last.pth')
        return read_run(folder, name)

    return make


class Oracle(torch.nn.Module):
    """Finds every box but those of one class."""

    def __init__(self, dataset, missed=None):
        super().__init__()
        self.infos = {info['img_id']: info['instances'] for info in map(
            dataset.get_data_info, range(len(dataset)))}
        self.missed = missed

    def val_step(self, batch):
        return [self._sample(sample) for sample in batch['data_samples']]

    def _sample(self, sample):
        found = [each for each in self.infos[sample.img_id]
                 if each['bbox_label'] != self.missed]
        result = DetDataSample(metainfo=sample.metainfo)
        result.pred_instances = InstanceData(
            bboxes=torch.tensor([e['bbox'] for e in found]).view(-1, 4),
            labels=torch.tensor([e['bbox_label'] for e in found],
                                dtype=torch.long),
            scores=torch.ones(len(found)))
        return result


def run_detector(name, cfg, model, wanted, say):
    return detect(load(Detector(name, 'plain', cfg, '', lambda: model)),
                  wanted, say)


def found(name, kind, **by_class):
    return Found(name, kind, 50.0, by_class, {3: []})


def test_one_pass_gives_ap_and_boxes(make_run):
    cfg = make_run('deepkd').cfg
    dataset = load_data(cfg)
    labels = [each['bbox_label'] for i in range(len(dataset))
              for each in dataset.get_data_info(i)['instances']]
    missed, said = labels[0], []

    result = run_detector('oracle', cfg, Oracle(dataset, missed), [1],
                          said.append)

    for label, name in enumerate('0123456789'):
        wanted = 0.0 if label == missed else 100.0
        assert (result.by_class[name] == wanted if label in labels
                else math.isnan(result.by_class[name]))
    share = 1 - 1 / len(set(labels))
    assert result.box_map == pytest.approx(100 * share, abs=0.1)
    assert list(result.boxes) == [1]
    truth = dataset.get_data_info(1)['instances']
    assert [box.label for box in result.boxes[1]] == [
        each['bbox_label'] for each in truth if each['bbox_label'] != missed]
    assert said[-1] == f'  oracle: {len(dataset)}/{len(dataset)} images'


def test_a_detector_that_finds_nothing_has_ap_0(make_run, capfd):
    run = make_run('blind')
    oracle = Oracle(load_data(run.cfg))
    oracle.infos = {key: [] for key in oracle.infos}

    result = run_detector('blind', run.cfg, oracle, [], print)
    assert result.box_map == 0 and set(result.by_class.values()) == {0}
    # mmdet calls it an error.
    told = capfd.readouterr()
    assert 'empty' not in told.out + told.err
    assert section_of._shown([result], [], choose_colors([run]), []).text[
        0] == 'blind finds nothing.'


def test_scenes_are_images_with_boxes_in_rgb(make_run):
    cfg = make_run('deepkd').cfg
    dataset = load_data(cfg)
    scenes = load_scenes(dataset, 99)

    assert [scene.number for scene in scenes] == [
        i for i in range(len(dataset))
        if dataset.get_data_info(i)['instances']]
    first = scenes[0]
    info = dataset.get_data_info(first.number)
    assert first.truth[0].box == tuple(info['instances'][0]['bbox'])
    assert first.truth[0].text == str(first.truth[0].label)
    assert first.pixels.shape == (128, 128, 3)
    assert len(load_scenes(dataset, 1)) == 1


def test_teacher_plain_and_distilled_are_run(make_run, teacher_checkpoint):
    runs = [make_run('deepkd'), make_run('plain', seed=1, plain=True)]
    models = find_detectors(runs)
    assert [(each.name, each.kind) for each in models] == [
        ('teacher', 'teacher'), ('deepkd', 'distilled'), ('plain', 'plain')]
    files = [teacher_checkpoint, *(run.folder / 'last.pth' for run in runs)]
    for each, file in zip(models, files):
        own = each.build().state_dict()
        saved = torch.load(file)['state_dict']
        assert own.keys() == saved.keys()
        assert all(torch.equal(own[key], saved[key]) for key in own)

    said = []
    section = detections(runs, choose_colors(runs), 1, said.append)
    assert section.tables[0].head == [
        'class', 'teacher (teacher)', 'deepkd (distilled)', 'plain (plain)',
        'deepkd − plain']
    assert [row[0] for row in section.tables[0].rows] == [
        'all', *'0123456789']
    assert [figure.name for figure in section.figures] == [
        'ap_by_class', 'detections_1']
    assert [line for line in said if '2/2' in line] == [
        f'  {name}: 2/2 images' for name in ('teacher', 'deepkd', 'plain')]


def test_a_teacher_that_is_one_of_the_runs_runs_once(make_run, tmp_path):
    teacher = make_run('big', plain=True)
    student = make_run('deepkd', (
        f"model['teacher_checkpoint'] = '{teacher.checkpoint}'\n"))
    found = find_detectors([teacher, student])

    assert [(each.name, each.kind) for each in found] == [
        ('big', 'teacher'), ('deepkd', 'distilled')]


def test_what_is_missing_is_said_and_the_rest_shown(make_run, tmp_path):
    wrong, other, good, none = (
        make_run('wrong'), make_run('other', plain=True),
        make_run('good', plain=True), make_run('none', plain=True))
    state = torch.load(wrong.checkpoint)
    del state['state_dict']['backbone.conv1.weight']
    torch.save(state, wrong.checkpoint)
    other.cfg.val_dataloader.dataset.indices = 1
    wrong.cfg.model.teacher_checkpoint = str(tmp_path / 'gone.pth')
    runs = [wrong, other, good, none._replace(checkpoint=None)]

    told = []
    section = detections(runs, choose_colors(runs), 0, told.append)
    said = '\n'.join(section.text)
    assert 'none is left out: it has no checkpoint yet.' in said
    assert 'teacher is left out: the teacher checkpoint' in said
    assert 'wrong is left out: ' in said and "config's student" in said
    assert 'other is left out: its validation set is another' in said
    assert section.tables[0].head == ['class', 'good (plain)']
    # Not only on the page.
    assert [line for line in told if 'left out' in line] == [
        f'  {line}' for line in section.text if 'left out' in line]


@pytest.mark.parametrize('change, same', [
    (dict(type='mmdet.CocoDataset', data_root='{root}'), True),
    (dict(filter_cfg=dict(filter_empty_gt=False)), True),
    (dict(indices=1), False),
    (dict(ann_file='annotations/train.json', data_prefix=dict(img='train/')),
     False),
    (dict(metainfo=dict(classes=tuple('1032456789'))), False)],
    ids=['spelt', 'unused', 'indices', 'train', 'classes'])
def test_data_are_compared_not_their_configs(make_run, digits, change, same):
    cfg = make_run('plain').cfg
    data = contents(load_data(cfg))
    cfg.val_dataloader.dataset.update({
        key: f'{digits}/./' if value == '{root}' else value
        for key, value in change.items()})

    assert (contents(load_data(cfg)) == data) == same


def test_an_image_of_which_nothing_is_kept_has_no_boxes():
    scene = Scene(9, np.zeros((60, 80, 3), np.uint8), [])
    picture = section_of._boxes(1, scene, [found('D', 'distilled')])

    assert 'ground truth: none; D: none' in picture.alt


def test_errors_of_our_own_are_not_hidden(make_run, monkeypatch):
    run = make_run('plain', plain=True)
    monkeypatch.setattr(section_of, 'detect', lambda *args: {}['ours'])

    with pytest.raises(KeyError, match='ours'):
        detections([run], choose_colors([run]), 1, print)


def test_a_device_without_memory_costs_its_detector(make_run, monkeypatch):
    run = make_run('plain', plain=True)

    def fail(*args):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(section_of, 'detect', fail)
    assert detections([run], choose_colors([run]), 1, print).text == [
        'plain is left out: out of memory']


def test_a_validation_set_that_is_gone_is_said(make_run):
    run = make_run('plain', plain=True)
    run.cfg.val_dataloader.dataset.data_root = '/nowhere/'
    section = detections([run], choose_colors([run]), 1, print)

    assert not section.tables and not section.figures
    assert section.text == [
        'Left out: the validation set is not there: /nowhere/ '
        '(val_dataloader.dataset.data_root, relative to the folder that the '
        'report is made in).']


def test_only_cocos_metric_makes_a_detector(make_run, tmp_path):
    run = make_run('plain', plain=True)
    assert is_detector(run)
    run.cfg.val_evaluator = [
        dict(type='CocoMetric', metric='proposal'), dict(type='Accuracy')]
    assert not is_detector(run)
    assert not is_detector(run._replace(cfg=None))


def test_of_two_metrics_that_of_boxes_is_used(make_run):
    cfg = make_run('plain', plain=True).cfg
    own = cfg.val_evaluator
    cfg.val_evaluator = [
        dict(own, metric='proposal'), dict(own, metric_items=['mAP_50']),
        dict(own, metric=['proposal', 'bbox'], prefix='other')]
    oracle = Oracle(load_data(cfg))

    assert run_detector('oracle', cfg, oracle, [], print).box_map == (
        pytest.approx(100, abs=0.1))


def test_the_table_has_the_change_against_the_plain_student():
    table = section_of._table([
        found('T', 'teacher', a=80., b=math.nan),
        found('P', 'plain', a=40., b=math.nan),
        found('D', 'distilled', a=52.25, b=math.nan)])

    assert table.head[-1] == 'D − P'
    assert table.rows[1:] == [['a', '80.0', '40.0', '52.2', '+12.2'],
                              ['b', '–', '–', '–', '–']]


def test_bars_are_of_the_largest_changes(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        section_of, 'bars', lambda name, caption, rows, columns, label:
        drawn.update(rows=rows, columns=columns, caption=caption))
    names = [f'c{i}' for i in range(30)]
    models = [found('P', 'plain', **dict.fromkeys(names, 50.)),
              found('D', 'distilled', **{
                  name: 50. - i for i, name in enumerate(names)})]
    runs = choose_colors([])._replace(runs={'D': 'red', 'P': 'blue'})
    section_of._bars(models, runs)

    assert drawn['rows'] == {f'c{i}': [-i] for i in range(10, 30)}
    assert drawn['columns'] == {'D': 'red'}
    assert 'the 20 largest of 30 classes' in drawn['caption']


def test_boxes_are_drawn_beside_the_truth():
    pixels = np.full((60, 80, 3), 40, np.uint8)
    scene = Scene(3, pixels, [Detection((1., 1., 30., 30.), 'cat', 0)])
    model = found('D', 'distilled')
    model.boxes[3].append(Detection((2., 2., 31., 31.), 'dog 0.90', 1))
    picture = section_of._boxes(1, scene, [model])

    assert 'ground truth: cat; D: dog 0.90' in picture.alt
    assert picture.png.startswith(b'\x89PNG')
