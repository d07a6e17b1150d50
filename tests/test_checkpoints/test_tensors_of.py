"""Where a checkpoint's tensors are, and files that have none."""
from collections import OrderedDict

import pytest
import torch

from mmdeepkd.checkpoints import tensors_of
from mmdeepkd.distillers.teacher import load_strictly
from tests.helpers.checkpoint_files import save

STATE = torch.nn.Linear(2, 2).state_dict()
OTHER = torch.nn.Linear(2, 2).state_dict()


@pytest.mark.parametrize('loaded', [
    STATE, dict(state_dict=STATE), dict(model=STATE),
    dict(state_dict=STATE, model=OTHER), dict(model=OTHER, state_dict=STATE),
    dict(state_dict=STATE, model=dict(name='x'), meta={}),
    dict(state_dict=STATE, model='x', epoch=3),
], ids=lambda loaded: '-'.join(loaded))
def test_tensors_are_found(tmp_path, loaded):
    assert tensors_of(loaded, 'x.pth') is STATE
    module = torch.nn.Linear(2, 2)
    load_strictly(module, str(save(tmp_path / 'x.pth', loaded)))
    assert torch.equal(module.weight, STATE['weight'])


def test_a_tensor_called_model_is_one():
    state = OrderedDict(model=torch.ones(1))

    assert tensors_of(state, 'x.pth') is state


@pytest.mark.parametrize('loaded, message', [
    ([1], ' is a list, not a dict of tensors: give a checkpoint of a train'),
    (None, ' is a NoneType, not a dict of tensors'),
    (dict(state_dict=None), "['state_dict'] is a NoneType, not a dict of"),
    (dict(state_dict=[1], model=STATE), "['state_dict'] is a list, not a"),
    (dict(STATE, epoch=3), " holds an int as 'epoch', not a tensor: save"),
    (dict(net=STATE), " holds an OrderedDict as 'net', not a tensor"),
    (dict(state_dict=dict(STATE, weight=[1, 2])),
     "['state_dict'] holds a list as 'weight', not a tensor: save the tens"),
    (dict(model={1: torch.ones(1)}),
     "['model'] has 1 for the name of a tensor, an int: give a check"),
    ({1: 2}, ' has 1 for the name of a tensor, an int: give'),
], ids=lambda value: value[:40] if isinstance(value, str) else 'file')
def test_what_holds_no_tensors_is_said(tmp_path, loaded, message):
    path = save(tmp_path / 'x.pth', loaded)
    with pytest.raises(RuntimeError) as caught:
        tensors_of(loaded, 'x.pth')
    assert str(caught.value).startswith('x.pth' + message)
    with pytest.raises(RuntimeError) as caught:
        load_strictly(torch.nn.Linear(2, 2), str(path))
    assert str(caught.value).startswith(
        f'the teacher checkpoint {path}{message}')


class Counting(torch.nn.Linear):
    """Keeps a number beside its tensors."""

    seen = 0

    def get_extra_state(self):
        return dict(seen=self.seen)

    def set_extra_state(self, state):
        self.seen = state['seen']


def test_a_module_may_keep_other_things_beside_tensors(tmp_path):
    saved, loaded = (torch.nn.Sequential(Counting(2, 2)) for _ in range(2))
    saved[0].seen = 5
    report = load_strictly(
        loaded, str(save(tmp_path / 'x.pth', saved.state_dict())))

    assert loaded[0].seen == 5
    assert report.matched == report.total == 3
