"""Which tensors of a model a file holds, and files that hold none."""
import re

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from mmdeepkd.checkpoints import (
    compare_tensors,
    require_match,
    strip_wrapper,
    watch_pretrained,
)


class Net(BaseModule):
    """A backbone with a counter, and a head."""

    def __init__(self, width=4, init_cfg=None, backbone_init=None):
        super().__init__(init_cfg)
        self.backbone = Backbone(width, init_cfg=backbone_init)
        self.head = nn.Linear(width, 2)


class Backbone(BaseModule):

    def __init__(self, width, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(3, width, 1)
        self.norm = nn.BatchNorm2d(width)


def compare(state, width=4, what='load_from'):
    own = Net(width).state_dict()
    report = compare_tensors(what, 'net.pth', state, own)
    return report, state, own


def saved(path, state):
    torch.save(dict(state_dict=state), path)
    return str(path)


def test_every_tensor_found():
    report, state, own = compare(Net().state_dict())

    require_match(report, state, own)
    assert report.parts == dict(backbone=(6, 6), head=(2, 2))
    assert report.describe() == (
        'net.pth: all 8 tensors (backbone 6, head 2)')


def test_what_is_missing_unexpected_and_of_another_shape():
    state = Net().state_dict()
    state['head.weight'] = torch.zeros(3, 4)
    state['adapter.weight'] = torch.zeros(1)
    del state['backbone.norm.weight']
    report, state, own = compare(state)

    require_match(report, state, own)
    assert (report.matched, report.total) == (6, 8)
    assert report.describe() == (
        'net.pth: 6 of 8 tensors (backbone 5 of 6, head 1 of 2); '
        '1 missing (backbone.norm.weight); 1 unexpected (adapter.weight); '
        '1 of another shape (head.weight: (3, 4) in the file, (2, 4) in the '
        'model)')


def test_a_counter_is_neither_missed_nor_a_match():
    state = Net().state_dict()
    counter = state.pop('backbone.norm.num_batches_tracked')
    report, _, _ = compare(state)

    assert report.describe() == (
        'net.pth: all 8 tensors (backbone 6, head 2)')
    with pytest.raises(RuntimeError, match='none of the 8 tensors'):
        require_match(
            *compare({'backbone.norm.num_batches_tracked': counter}))


def test_the_prefix_of_a_wrapped_model_is_dropped():
    state = {f'module.{k}': v for k, v in Net().state_dict().items()}

    assert strip_wrapper(state).keys() == Net().state_dict().keys()


def renamed(prefix):
    return {prefix + key: value for key, value in Net().state_dict().items()}


@pytest.mark.parametrize('state, message', [
    (renamed('student.'),
     'load_from finds nothing to load: none of the 8 tensors of the model '
     'matches net.pth (it has student.backbone.conv.weight where the '
     "model has backbone.conv.weight: remove 'student.' from its names); "
     'default_hooks=dict(start_summary=None) turns this check off, and'),
    (renamed('architecture.'), "remove 'architecture.' from its names"),
    (Backbone(4).state_dict(),
     'it has conv.weight where the model has backbone.conv.weight: it holds '
     "backbone alone, so set backbone.init_cfg=dict(type='Pretrained', "
     'checkpoint=...) instead); default'),
    (dict(layer1=torch.zeros(2)),
     'it begins with layer1, the model has backbone.conv.weight: give the '
     'checkpoint of this architecture); default'),
    ({}, 'it begins with nothing, the model has backbone.conv.weight'),
    ({'backbone.conv.weight': torch.zeros(8, 3, 1, 1)},
     'backbone.conv.weight: (8, 3, 1, 1) in the file, (4, 3, 1, 1) in the '
     'model: give the checkpoint of this architecture); default'),
    ({'head.weight': torch.zeros(2, 4), 'trunk.conv.weight': torch.zeros(1)},
     'load_from gives the backbone nothing: none of its 6 tensors matches '
     'net.pth (it begins with head.weight, the model has '
     'backbone.conv.weight: give the checkpoint of this architecture, or '
     'initialise it from another file: backbone.init_cfg=dict('
     "type='Pretrained', checkpoint=...)); "
     'default_hooks=dict(start_summary=None) turns this check off, and'),
])
def test_a_file_that_gives_nothing_is_refused(state, message):
    with pytest.raises(RuntimeError, match=re.escape(message)):
        require_match(*compare(state))


def test_a_file_without_the_backbone_that_another_file_gave():
    """Neck and head, say; the backbone has an init_cfg of its own."""
    given, _, _ = compare(Net().state_dict(), what='init_cfg of backbone')
    other, _, _ = compare({'head.weight': torch.zeros(2, 4)})
    head = compare(Net().head.state_dict(prefix='head.'))

    require_match(*head, before=[given])
    with pytest.raises(RuntimeError, match='gives the backbone nothing'):
        require_match(*head, before=[other])
    with pytest.raises(RuntimeError, match='finds nothing to load'):
        require_match(*compare({}), before=[given])


def test_a_model_without_tensors_needs_none():
    report = compare_tensors('init_cfg of neck', 'net.pth', {}, {})
    require_match(report, {}, {})


def test_what_a_module_keeps_beside_tensors_is_compared_by_name():
    """Of get_extra_state, which may return anything."""
    own = dict(Net().state_dict(), **{'head._extra_state': dict(scale=2.)})
    assert compare_tensors('resume', 'net.pth', own, own).missing == []
    report = compare_tensors('resume', 'net.pth', Net().state_dict(), own)
    assert report.missing == ['head._extra_state']


def initialise(net):
    reports = []
    watches = watch_pretrained(net, reports)
    net.init_weights()
    for watch in watches:
        watch.remove()
    return reports


def test_a_pretrained_backbone_is_reported(tmp_path):
    source = Backbone(4)
    path = saved(tmp_path / 'net.pth',
                 dict(source.state_dict(), extra=torch.zeros(1)))
    net = Net(backbone_init=dict(type='Pretrained', checkpoint=path))
    reports = initialise(net)

    assert torch.equal(net.backbone.conv.weight, source.conv.weight)
    assert [r.describe() for r in reports] == [
        f'{path}: all 6 tensors (backbone 6); 1 unexpected (backbone.extra)'
    ]
    assert reports[0].what == 'init_cfg of backbone'


def test_pretrained_parts_of_a_pretrained_model_are_reported_once(tmp_path):
    whole = saved(tmp_path / 'net.pth', Net().state_dict())
    part = saved(tmp_path / 'backbone.pth', Backbone(4).state_dict())
    reports = initialise(
        Net(init_cfg=[dict(type='Constant', layer='Linear', val=0.5),
                      dict(type='Pretrained', checkpoint=whole)],
            backbone_init=dict(type='Pretrained', checkpoint=part)))

    assert [(r.what, r.matched) for r in reports] == [
        ('init_cfg of backbone', 6), ('init_cfg of the model', 8)]


def test_a_pretrained_model_whose_file_lacks_the_pretrained_backbone(tmp_path):
    part = saved(tmp_path / 'backbone.pth', Backbone(4).state_dict())
    head = saved(tmp_path / 'head.pth', Net().head.state_dict(prefix='head.'))
    init = dict(type='Pretrained', checkpoint=head)
    reports = initialise(
        Net(init_cfg=init,
            backbone_init=dict(type='Pretrained', checkpoint=part)))

    assert [r.matched for r in reports] == [6, 2]
    with pytest.raises(RuntimeError, match='of the model gives the backbone'):
        initialise(Net(init_cfg=init))


def test_a_pretrained_file_with_a_prefix(tmp_path):
    path = saved(tmp_path / 'net.pth', Net().state_dict())
    init = dict(type='Pretrained', checkpoint=path)
    reports = initialise(Net(backbone_init=dict(init, prefix='backbone.')))

    assert [r.matched for r in reports] == [6]
    with pytest.raises(RuntimeError, match=re.escape(
            'init_cfg of backbone finds nothing to load: none of the 6 '
            f'tensors of the model matches {path} (it has '
            'backbone.conv.weight where the model has conv.weight: set '
            "prefix='backbone.' in it); default")):
        initialise(Net(backbone_init=init))


def test_the_watch_ends(tmp_path):
    path = saved(tmp_path / 'net.pth', dict(other=torch.zeros(1)))
    net = Net(backbone_init=dict(type='Pretrained', checkpoint=path))
    for watch in watch_pretrained(net, []):
        watch.remove()
    net.init_weights()
