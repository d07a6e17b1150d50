import re

import pytest
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config, student_config


@pytest.fixture
def warnings(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning',
                        texts.append)
    return texts


def write(path, text):
    path.write_text(text)
    return path


def test_a_dict_is_copied():
    given = dict(type='Net', backbone=dict(depth=18))
    config = resolve_model_config(given, 'student')
    config.backbone.depth = 50

    assert isinstance(config.backbone, ConfigDict)
    assert given['backbone']['depth'] == 18


@pytest.mark.parametrize('kind', [str, lambda path: path],
                         ids=['str', 'Path'])
def test_a_config_file(kind, tmp_path):
    path = write(tmp_path / 'net.py', "model = dict(type='Net')")

    assert resolve_model_config(kind(path), 'student') == dict(type='Net')


def test_a_shipped_config_of_another_package():
    config = resolve_model_config(
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'teacher')

    assert config.type == 'FasterRCNN'
    assert config.backbone.depth == 50


def test_of_a_distillation_config_the_student_is_meant():
    config = resolve_model_config(
        mmdeepkd.config_path('digits/kd_frcnn_r18w32_r18w16.py'), 'teacher')

    assert config.type == 'mmdet.FasterRCNN'
    assert config.backbone.base_channels == 16


def test_a_preprocessor_beside_the_model_belongs_to_it(tmp_path):
    path = write(
        tmp_path / 'net.py',
        "model = dict(type='Net')\ndata_preprocessor = dict(mean=[1.])")

    assert resolve_model_config(path, 'teacher') == dict(
        type='Net', data_preprocessor=dict(mean=[1.]))


def test_the_models_own_preprocessor_wins(tmp_path):
    path = write(
        tmp_path / 'net.py',
        "model = dict(type='Net', data_preprocessor=dict(mean=[2.]))\n"
        'data_preprocessor = dict(mean=[1.])')

    assert resolve_model_config(path, 'teacher').data_preprocessor == dict(
        mean=[2.])


@pytest.mark.parametrize('inner', ['', 'data_preprocessor=dict(mean=[3.]), '])
def test_the_student_of_a_distillation_config_keeps_its_preprocessor(
        inner, tmp_path):
    path = write(
        tmp_path / 'kd.py',
        "default_scope = 'mmpretrain'\n"
        f"model = dict(type='D', {inner}student=dict(type='Net'))\n"
        'data_preprocessor = dict(mean=[1.])')

    assert resolve_model_config(path, 'teacher') == dict(
        type='Net', _scope_='mmpretrain',
        data_preprocessor=dict(mean=[3. if inner else 1.]))


def test_a_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(
            'there is no teacher config nets/resnet.py (relative to '
            f"{tmp_path}); give a file, or a shipped one as 'mmdet::path'")):
        resolve_model_config('nets/resnet.py', 'teacher')


def test_a_package_that_is_not_installed():
    with pytest.raises(ImportError, match=(
            'the student config mmfuture::x.py needs the package mmfuture: '
            'install it with `pip install mmfuture`')):
        resolve_model_config('mmfuture::x.py', 'student')


def test_a_file_without_a_model(tmp_path):
    path = write(tmp_path / 'empty.py', 'lr = 0.1')
    with pytest.raises(KeyError, match=(
            f'the config {path} given as student has no `model`')):
        resolve_model_config(path, 'student')


@pytest.mark.parametrize('value', [None, 3, ['a.py']])
def test_anything_else(value):
    with pytest.raises(TypeError, match=(
            "student must be a model dict, a config path or 'package::path', "
            f'got {type(value).__name__}')):
        resolve_model_config(value, 'student')


def test_a_files_own_scope_goes_along(tmp_path):
    path = tmp_path / 'net.py'
    path.write_text("default_scope = 'mmrotate'\nmodel = dict(type='Net')\n")

    assert resolve_model_config(str(path), 'teacher') == dict(
        type='Net', _scope_='mmrotate')


def test_a_student_without_preprocessor_has_the_distillers(warnings):
    given = dict(
        type='D', student=dict(type='Net'), data_preprocessor=dict(mean=[1.]))
    config = student_config(given)
    config.data_preprocessor.type = 'P'

    assert config == dict(
        type='Net', data_preprocessor=dict(mean=[1.], type='P'))
    assert given['data_preprocessor'] == dict(mean=[1.])
    assert 'data_preprocessor' not in given['student']
    assert student_config(dict(student=dict(type='Net'))) == dict(type='Net')
    assert warnings == []


@pytest.mark.parametrize('mean', [1., 2.])
def test_a_students_own_preprocessor_wins_and_says_so(
        mean, warnings, tmp_path):
    path = write(
        tmp_path / 'net.py',
        "model = dict(type='Net')\ndata_preprocessor = dict(mean=[1.])")
    config = student_config(
        dict(student=str(path), data_preprocessor=dict(mean=[mean])))

    assert config.data_preprocessor == dict(mean=[1.])
    assert warnings == ([] if mean == 1 else [
        "the student has a data_preprocessor of its own, {'mean': [1.0]}, "
        "which is used instead of that of the run, {'mean': [2.0]}."])
