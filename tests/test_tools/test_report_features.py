"""The sections of tools/analysis/report.py about feature distillation."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmdeepkd
from mmdeepkd.registry import MODELS
from tests.helpers.classifiers import write_teacher
from tests.helpers.work_dirs import (
    train_line,
    write_feature_run,
    write_plain_run,
    write_session,
)
from tools.analysis.report_steps import (
    feature_curves,
    feature_pictures,
    features,
)
from tools.analysis.report_steps.detections import detections
from tools.analysis.report_steps.feature_maps import feature_maps
from tools.analysis.report_steps.feature_models import (
    distils_features,
    load_distiller,
)
from tools.analysis.report_steps.features import (
    ImageFeatures,
    PlaceFeatures,
    features_of,
)
from tools.analysis.report_steps.layout import choose_colors
from tools.analysis.report_steps.runs import read_run

DETECTOR = 'digits/diffkd_frcnn_r18w32_r18w16.py'
ONE_STAGE = 'digits/diffkd_retinanet_r18w16.py'
CLASSIFIER = 'digits100/diffkd_resnet8w32_resnet8w4.py'
TEACHER = 'digits100/teacher_resnet8w32.py'
LEVELS = ['level0', 'level1', 'level2', 'level3']


def save(run, change=lambda state: None):
    """Save random weights of a run's distiller, as a training would."""
    with DefaultScope.overwrite_default_scope(run.cfg.default_scope):
        torch.manual_seed(0)
        model = MODELS.build(run.cfg.model)
        model.init_weights()
    state = dict(model.state_dict())
    change(state)
    torch.save(dict(state_dict=state), run.folder / 'last.pth')


def make_work_dir(folder, cfg, change=lambda state: None):
    write_plain_run(folder)
    if cfg.get('data_preprocessor'):
        # As the Runner does.
        cfg.model.data_preprocessor = cfg.data_preprocessor
    cfg.dump(next(folder.glob('*/vis_data')) / 'config.py')
    (folder / 'last_checkpoint').write_text('/elsewhere/last.pth')
    save(read_run(folder, folder.name), change)
    return read_run(folder, folder.name)


@pytest.fixture
def detector(tmp_path, digits, teacher_checkpoint):
    """Make the work dir of a detector that distils features."""

    def make(name='diffkd', config=DETECTOR, **kwargs):
        cfg = Config.fromfile(mmdeepkd.config_path(config))
        cfg.model.teacher_checkpoint = str(teacher_checkpoint)
        cfg.val_dataloader.dataset.data_root = f'{digits}/'
        cfg.val_evaluator.ann_file = f'{digits}/annotations/val.json'
        return make_work_dir(tmp_path / name, cfg, **kwargs)

    return make


@pytest.fixture
def classifier(tmp_path):
    """Make the work dir of a classifier that distils maps and logits."""
    def make(name='diffkd', **kwargs):
        cfg = Config.fromfile(mmdeepkd.config_path(CLASSIFIER))
        cfg.model.teacher_checkpoint = teacher
        cfg.val_dataloader.dataset.indices = 5
        return make_work_dir(tmp_path / name, cfg, **kwargs)

    config = Config.fromfile(mmdeepkd.config_path(TEACHER)).model
    teacher = write_teacher(config, tmp_path / 'teacher.pth')
    return make


def place(value=1.0, maps=True):
    """What is known of a place of one channel, 2 x 3."""
    shown = [np.full((2, 3), value * k) for k in (1, 4, 2)]
    return PlaceFeatures((1, 2, 3), 0.75, 9., 1., 0.5, shown if maps else [])


def image(**places):
    return ImageFeatures(7, np.zeros((20, 30, 3), np.uint8), places)


@pytest.fixture
def figures(monkeypatch):
    kept = []
    monkeypatch.setattr(feature_pictures, 'png', kept.append)
    return kept


def test_losses_and_gamma_are_drawn_one_by_one(tmp_path):
    run = read_run(write_feature_run(tmp_path / 'run'), 'run')

    assert list(feature_curves.loss_parts(run)) == [
        'diffkd_level0', 'diffkd_level1', 'diffkd_diffusion',
        'diffkd_autoencoder']
    assert feature_curves.gammas(run) == {
        'diffkd_level0': ([10, 20], [0.75, 0.5]),
        'diffkd_level1': ([10, 20], [1., 1.])}
    section = feature_curves.feature_curves([run], choose_colors([run]))
    assert [each.name for each in section.figures] == [
        'feature_losses_1', 'gamma_1']
    assert 'diffkd_level0 from 0.75 to 0.5' in section.figures[1].alt


@pytest.mark.parametrize('name, drawn', [
    ('diffkd_gamma', 'diffkd'), ('diffkd_logits_gamma', 'diffkd_logits'),
    ('diffkd_1_gamma_level3', 'diffkd_1_level3'), ('gamma', None),
    ('loss_gamma/task', None)])
def test_every_name_of_a_gamma_is_known(name, drawn, tmp_path):
    write_session(tmp_path, scalars=[train_line(10, **{name: 0.5})])
    found = feature_curves.gammas(read_run(tmp_path, 'run'))

    assert list(found) == ([] if drawn is None else [drawn])


def test_a_run_without_features_has_a_sentence(tmp_path):
    run = read_run(write_plain_run(tmp_path / 'run'), 'run')
    made = [feature_curves.feature_curves([run], choose_colors([run])),
            feature_maps([run], 4, print)]

    assert [(each.text, each.figures, each.tables) for each in made] == [
        (['No run distils features.'], [], [])] * 2


def test_errors_and_maps_of_a_place_by_hand():
    target = torch.tensor([[[1., -1.]], [[3., 1.]]])
    found = features._place(SimpleNamespace(
        target=target[None], raw=target[None] + 2, denoised=target[None] - 1,
        refined=target[None] * 0, gamma=torch.tensor([0.25])))

    assert found[:5] == ((2, 1, 2), 0.25, 4.0, 1.0, 3.0)
    assert [each.tolist() for each in found.maps] == [
        [[2., 1.]], [[4., 2.]], [[0., 0.]]]


def test_logits_have_no_map():
    logits = torch.ones(1, 10, 1, 1)
    found = features._place(SimpleNamespace(
        target=logits, raw=logits, denoised=logits, refined=logits,
        gamma=torch.ones(1)))

    assert found.maps == [] and found.shape == (10, 1, 1)


@pytest.mark.parametrize('bgr, shown', [
    (True, [30, 20, 10]), (False, [10, 20, 30])])
def test_an_image_is_rgb_and_padded(bgr, shown):
    loaded = torch.tensor([10, 20, 30], dtype=torch.uint8)
    pixels = features._pixels(
        loaded.view(3, 1, 1).expand(3, 2, 3), (4, 3), bgr)

    assert pixels.shape == (4, 3, 3)
    assert pixels[1, 2].tolist() == shown and not pixels[2:].any()


@pytest.mark.parametrize('kind, settings, file, bgr', [
    ('ClsDataPreprocessor', dict(to_rgb=True), True, True),
    # CIFAR's pictures are RGB in its own files.
    ('ClsDataPreprocessor', dict(to_rgb=False), False, False),
    ('DetDataPreprocessor', dict(bgr_to_rgb=True), True, True),
    # A network that reads BGR.
    ('DetDataPreprocessor', dict(bgr_to_rgb=False), True, True),
], ids=['imagenet', 'cifar', 'rgb-network', 'bgr-network'])
def test_the_order_of_loaded_channels_is_known(kind, settings, file, bgr):
    scope = 'mmpretrain' if kind.startswith('Cls') else 'mmdet'
    with DefaultScope.overwrite_default_scope(scope):
        preprocessor = MODELS.build(dict(
            type=f'{scope}.{kind}', mean=[1, 2, 3], std=[1, 1, 1],
            **settings))
    steps = [LoadImageFromFile()] if file else []
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=steps))
    model = SimpleNamespace(data_preprocessor=preprocessor)

    # By itself, and in what concatenates or repeats.
    for each in (dataset, SimpleNamespace(datasets=[dataset, dataset]),
                 SimpleNamespace(dataset=dataset)):
        assert features._is_bgr(model, each) == bgr


def test_shipped_classifiers_of_cifar_are_shown_in_rgb():
    """Neither their preprocessor nor their pipeline is of BGR images."""
    cfg = Config.fromfile(
        mmdeepkd.config_path('cifar100/diffkd_wrn_40_2_wrn_40_1.py'))

    assert not cfg.data_preprocessor.to_rgb
    assert 'LoadImageFromFile' not in str(cfg.val_dataloader)


def test_images_are_spread_and_have_boxes():
    infos = [dict(instances=[1] * (i % 2)) for i in range(12)]
    data = type('Data', (), dict(
        __len__=lambda self: 12,
        get_data_info=lambda self, i: infos[i]))()

    assert features.choose(data, 3) == [1, 5, 9]
    assert features.choose(data, 99) == [1, 3, 5, 7, 9, 11]
    infos[:] = [dict(gt_label=1)] * 12
    assert features.choose(data, 2) == [0, 6]


@pytest.mark.parametrize('config', [DETECTOR, ONE_STAGE],
                         ids=['two-stage', 'one-stage'])
def test_levels_of_a_detector_are_shown(detector, config):
    run = detector(config=config)
    said = []
    section = feature_maps([run], 1, said.append)

    assert [each.name for each in section.figures] == ['features_1']
    assert [row[0] for row in section.tables[0].rows] == LEVELS
    assert 'validation image' in section.figures[0].caption
    assert said == ['  diffkd: features of 1 images']
    # The other section shows what it detects, whatever its stages.
    found = detections([run], choose_colors([run]), 0, said.append)
    assert found.tables[0].head[1:3] == ['teacher (teacher)',
                                         'diffkd (distilled)']


def test_map_and_logits_of_a_classifier_are_shown(classifier):
    section = feature_maps([classifier()], 2, print)

    assert [row[0] for row in section.tables[0].rows] == [
        'diffkd map', 'diffkd_logits logits']
    assert [each.name for each in section.figures] == [
        'features_1', 'features_2']
    assert 'diffkd map: mean' in section.figures[0].alt
    assert 'logits' not in section.figures[0].alt


def test_what_is_shown_is_that_of_the_checkpoint(classifier):
    def no_student(state):
        for key in state:
            if 'diffkd.map.transform' in key:
                state[key].zero_()

    plain, = features_of(classifier('a'), 1)
    changed, = features_of(classifier('b', change=no_student), 1)
    first, second = (each.places['diffkd map'] for each in (plain, changed))

    assert first.maps[1].any() and not second.maps[1].any()
    # The target is the teacher's, which is the same; so are the logits.
    assert np.array_equal(first.maps[0], second.maps[0])
    assert (plain.places['diffkd_logits logits']
            == changed.places['diffkd_logits logits'])
    assert np.array_equal(plain.pixels, changed.pixels)


def test_the_noise_is_that_of_every_report(classifier):
    run = classifier()
    first, = features_of(run, 1)
    torch.manual_seed(5)
    second, = features_of(run, 1)

    assert first.places['diffkd_logits logits'] == (
        second.places['diffkd_logits logits'])
    assert all(map(np.array_equal, *(each.places['diffkd map'].maps
                                     for each in (first, second))))


def test_the_noise_is_that_of_every_checkpoint(classifier):
    """Of a longer training, too: another number of draws in the file."""
    def trained_for_longer(state):
        drawn = [key for key in state if key.endswith('num_draws')]
        assert len(drawn) == 2
        for key in drawn:
            state[key] += 300

    first, = features_of(classifier('a'), 1)
    second, = features_of(classifier('b', change=trained_for_longer), 1)

    assert first.places['diffkd_logits logits'] == (
        second.places['diffkd_logits logits'])
    assert all(map(np.array_equal, *(each.places['diffkd map'].maps
                                     for each in (first, second))))


def test_the_model_is_in_eval_mode_and_drawn_as_loaded(classifier):
    run = classifier()
    run.cfg.model.teacher_speedup = dict(amp='bf16')
    model = load_distiller(run.cfg, str(run.checkpoint))

    assert not any(module.training for module in model.modules())
    assert model.teacher_speedup is None


@pytest.mark.parametrize('change, said', [
    (lambda state: [state.pop(key) for key in list(state)
                    if key.startswith('distill.')],
     'holds no distill.*, the modules that compare features, as if it were '
     'an exported student: give the work directory of the training, with '
     'its own checkpoint.'),
    (lambda state: state.pop('distill.diffkd.map.transform.weight'),
     "is not of the config's distillation: 1 missing"),
    (lambda state: state.update({'other.weight': torch.ones(1)}),
     'other.weight')], ids=['exported', 'missing', 'unexpected'])
def test_another_checkpoint_is_said(change, said, classifier):
    run = classifier(change=change)
    told = []
    section = feature_maps([run], 1, told.append)

    assert not section.figures and not section.tables
    line, = section.text
    assert line.startswith('diffkd is left out: ') and said in line
    assert told == [f'  {line}']


def test_what_is_missing_is_said_and_the_rest_shown(classifier, tmp_path):
    runs = [classifier(name) for name in ('no_teacher', 'no_data', 'good')]
    runs[0].cfg.model.teacher_checkpoint = str(tmp_path / 'gone.pth')
    runs[1].cfg.val_dataloader.dataset.data_root = '/nowhere/'
    runs[1].cfg.val_dataloader.dataset.type = 'mmpretrain.CustomDataset'
    runs.append(runs[2]._replace(name='young', checkpoint=None))
    section = feature_maps(runs, 1, print)

    assert [line.split(': ')[0] for line in section.text[:3]] == [
        'no_teacher is left out', 'no_data is left out', 'young is left out']
    assert 'gone.pth is not there' in section.text[0]
    assert 'validation set is not there: /nowhere/' in section.text[1]
    assert section.text[2].endswith('it has no checkpoint yet.')
    assert [each.name for each in section.figures] == ['features_1']
    assert section.tables[0].caption.startswith('good: ')


def test_only_losses_with_adapters_distil_features(classifier):
    run = classifier()
    assert distils_features(run)
    for losses, wanted in [
            (dict(type='mmdeepkd.DiffKDLoss'), True),
            ([dict(type='mmdeepkd.KDLoss')], False),
            (dict(type='mmdeepkd.NotALoss'), False)]:
        run.cfg.model.losses = losses
        assert distils_features(run) == wanted
    assert not distils_features(run._replace(cfg=None))


def test_maps_of_a_place_have_one_scale(figures):
    feature_pictures.feature_picture(1, SimpleNamespace(name='run'), image(
        level0=place(), level1=place(10.), logits=place(maps=False)))
    figure, = figures
    grid = [axis for axis in figure.axes if axis.images
            and axis.get_label() != '<colorbar>']

    assert [axis.get_title() for axis in grid[:4]] == [
        'image', 'teacher', 'student', 'denoised']
    assert len(grid) == 8
    assert [axis.images[0].get_clim() for axis in grid] == (
        [grid[0].images[0].get_clim()] + [(1., 4.)] * 3
        + [grid[4].images[0].get_clim()] + [(10., 40.)] * 3)
    assert [axis.get_ylabel() for axis in grid[::4]] == ['level0', 'level1']
    assert [axis.get_xlabel() for axis in grid[:4]] == [
        '', '', 'MSE 9', 'MSE 0.5']
    # Each map is as large as the image that it is of.
    assert all(tuple(axis.images[0].get_extent()) == (0, 30, 20, 0)
               for axis in grid[1:4])


@pytest.mark.parametrize('levels', [1, 5])
def test_a_picture_has_room_for_its_maps(figures, levels):
    feature_pictures.feature_picture(1, SimpleNamespace(name='run'), image(
        **{f'level{i}': place() for i in range(levels)}))
    figure, = figures
    figure.draw_without_rendering()
    boxes = [axis.get_tightbbox() for axis in figure.axes]

    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1
               and box.y1 <= figure.bbox.y1 for box in boxes)
    assert all(axis.get_window_extent().width > 0.6 * figure.dpi
               for axis in figure.axes[:4])
    rows = [boxes[4 * i:4 * i + 4] for i in range(levels)]
    for above, below in zip(rows, rows[1:]):
        assert min(box.y0 for box in above) >= max(box.y1 for box in below)


def test_the_table_has_means_over_the_images():
    other = place()._replace(gamma=0.25, mse_student=1.)
    table = feature_pictures.feature_table(SimpleNamespace(name='run'), [
        image(level0=place()), image(level0=other)])

    assert table.caption == (
        'run: mean squared errors against the teacher, over 2 images')
    assert table.rows == [['level0', '1 x 2 x 3', '0.5', '5', '1', '0.5']]


@pytest.mark.parametrize('name', ['logits', 'diffkd_logits logits'])
def test_the_table_says_what_the_loss_of_logits_is(name):
    table = feature_pictures.feature_table(SimpleNamespace(name='run'), [
        image(**{'level0': place(), name: place(maps=False)})])

    assert table.caption == (
        'run: mean squared errors against the teacher, over one image; those '
        'of logits are of the logits themselves, while their loss is T² KL '
        'of the softmax')


def test_errors_of_our_own_are_not_hidden(classifier, monkeypatch):
    def fail(*args):
        raise IndexError('ours')

    monkeypatch.setattr(features, '_place', fail)
    with pytest.raises(IndexError, match='ours'):
        feature_maps([classifier()], 1, print)
