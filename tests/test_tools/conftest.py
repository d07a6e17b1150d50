"""The digits configs on a handful of scenes."""
import pytest
import torch

import mmdeepkd
from mmdeepkd.datasets import make_digits_detection
from mmdeepkd.distillers import resolve_model_config
from tests.helpers.distillers import build_detector

CONFIG = """
_base_ = [__import__('mmdeepkd').config_path('digits/{name}.py')]

data_root = '{data}/'
train_dataloader = dict(
    batch_size=2,
    sampler=dict(shuffle=False),
    dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = dict(ann_file=data_root + 'annotations/val.json')
train_cfg = dict(max_epochs=2, val_interval=10)
default_hooks = dict(logger=dict(interval=1))
"""
# RoIs drawn alike in every process, so that runs can be compared.
DISTILLER = """
custom_imports = dict(imports=['tests.helpers.seeded_sampler'])
model = dict(
    teacher_checkpoint='{checkpoint}',
    student=dict(
        train_cfg=dict(
            rpn=dict(sampler=dict(type='SeededSampler')),
            rcnn=dict(sampler=dict(type='SeededSampler')))))
"""


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'digits'
    make_digits_detection(root, num_train=4, num_val=2)
    return root


@pytest.fixture(scope='session')
def teacher_checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = build_detector(resolve_model_config(
        mmdeepkd.config_path('digits/teacher_frcnn_r18w32.py'), 'teacher'))
    model.init_weights()
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='session')
def write_config(digits, teacher_checkpoint):
    """Write a config of one's own, on top of a shipped one."""

    def write(path, extra=''):
        text = CONFIG.format(
            name='deepkd_frcnn_r18w32_r18w16', data=digits)
        text += DISTILLER.format(checkpoint=teacher_checkpoint)
        path.write_text(text + extra)
        return path

    return write
