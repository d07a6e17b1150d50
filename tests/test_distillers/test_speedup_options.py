"""``teacher_speedup`` as it is written in configs."""
import pytest
import torch
from mmengine.config import ConfigDict

from mmdeepkd.distillers.speedup import Speedup, parse_speedup


def test_the_defaults_are_exact():
    for config in ({}, ConfigDict(), dict(
            channels_last=True, fold_bn=True, amp=None, compile=False)):
        assert parse_speedup(config) == Speedup()
    assert Speedup().dtype is None
    assert Speedup().describe() == (
        'channels_last, fold_bn, no autocast, not compiled')


def test_every_key_can_be_set():
    speedup = parse_speedup(dict(
        channels_last=False, fold_bn=False, amp='fp16', compile=True))

    assert speedup == (False, False, 'fp16', True)
    assert speedup.dtype == torch.float16
    assert parse_speedup(dict(amp='bf16')).dtype == torch.bfloat16
    assert speedup.describe() == (
        'format as loaded, BatchNorms as loaded, autocast to fp16, compiled')


@pytest.mark.parametrize('config', [
    None, dict(channels_last=False, fold_bn=False)])
def test_nothing_to_do_is_none(config):
    assert parse_speedup(config) is None


@pytest.mark.parametrize('config, said', [
    (True, 'must be None or a dict with some of the keys channels_last, '
     'fold_bn, amp, compile, got True'),
    (dict(fold=True), "teacher_speedup has no 'fold': its keys are "
     'channels_last, fold_bn, amp, compile'),
    (dict(amp='bfloat16'), "teacher_speedup.amp must be None, 'bf16' or "
     "'fp16', got 'bfloat16'"),
    (dict(amp=True), "must be None, 'bf16' or 'fp16', got True"),
    (dict(fold_bn='yes'),
     "teacher_speedup.fold_bn must be True or False, got 'yes'"),
    (dict(compile=None),
     'teacher_speedup.compile must be True or False, got None'),
], ids=['bool', 'key', 'amp', 'amp bool', 'fold_bn', 'compile'])
def test_anything_else_is_an_error(config, said):
    with pytest.raises(ValueError, match=said):
        parse_speedup(config)
