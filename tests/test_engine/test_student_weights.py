"""A student alone, loaded from the checkpoint of a run with adapters."""
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import Runner, get_priority
from torch import nn

from mmdeepkd.engine import StartSummaryHook, StudentWeightsHook
from mmdeepkd.engine.adapters import ADAPTERS

OTHERS = ['other.weight', 'distillation.weight', 'backbone.distill.weight']


def net(adapters=False):
    parts = dict(backbone=nn.Linear(2, 2))
    if adapters:
        parts[ADAPTERS] = nn.Linear(2, 2)
    return nn.ModuleDict(parts)


def saved():
    """What a run saved: tensors, adapters, and what fits no model here."""
    state = OrderedDict(net(adapters=True).state_dict())
    state.update((key, torch.ones(1)) for key in OTHERS)
    state._metadata = {'': dict(version=1)}
    return state


def load(model, checkpoint):
    """Load as a run does; return what is told."""
    runner = Runner.__new__(Runner)
    told = []
    runner.model, runner.logger = model, SimpleNamespace(info=told.append)
    StudentWeightsHook().after_load_checkpoint(runner, checkpoint)
    return told


@pytest.mark.parametrize('whole', [True, False], ids=['run', 'bare'])
def test_adapters_alone_are_left_out_and_told_of_once(whole):
    state, before = saved(), saved()
    told = load(net(), dict(state_dict=state, meta={}) if whole else state)

    assert list(state) == [*net().state_dict(), *OTHERS]
    assert state._metadata == before._metadata
    assert told == [
        'the checkpoint was distilled: its 2 tensors (distill.weight, '
        'distill.bias) of the losses are left out.']


def test_a_model_with_adapters_gets_them():
    state = saved()

    assert load(net(adapters=True), dict(state_dict=state)) == []
    assert list(state) == list(saved())


def test_a_checkpoint_without_adapters_is_not_told_of():
    state = net().state_dict()

    assert load(net(), dict(state_dict=state)) == []
    assert list(state) == list(net().state_dict())


@pytest.mark.parametrize('other', [EMAHook, StartSummaryHook])
def test_hooks_that_look_at_the_tensors_come_afterwards(other):
    """EMAHook loads them, too, and would list what it does not know."""
    assert get_priority(StudentWeightsHook.priority) < get_priority(
        other.priority)
