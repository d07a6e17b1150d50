import re

import pytest
from mmengine.config import ConfigDict

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config


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
