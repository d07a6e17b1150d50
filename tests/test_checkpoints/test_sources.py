"""Every source of checkpoints runs nothing that a file asks for."""
import inspect
import json
import os

import pytest
import torch
from mmengine.fileio.backends.registry_utils import backends
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_loaders
from mmengine.runner.checkpoint import CheckpointLoader

import mmdeepkd.checkpoints
from mmdeepkd.checkpoints import UnsafeCheckpointError
from mmdeepkd.distillers.teacher import build_teacher
from tests.helpers.checkpoint_files import Call, save

# Addresses of the file x.pth of the site; the names are set in `address`.
SCHEMES = {
    'local': '{folder}/x.pth',
    'http': '{site}/x.pth',
    'openmmlab': 'openmmlab://own/x',
    'open-mmlab': 'open-mmlab://own/x',
    'a file beside open_mmlab.json': 'open-mmlab://own/file',
    'torchvision': 'torchvision://own',
    'modelzoo': 'modelzoo://own',
    'mmcls': 'mmcls://own',
    's3': 's3://bucket/x.pth',
    'cluster:s3': 'cluster:s3://bucket/x.pth',
    'petrel': 'petrel://bucket/x.pth',
}


class Net(BaseModel):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.backbone = torch.nn.Linear(2, 2)

    def forward(self, inputs, mode='tensor'):
        return inputs


@pytest.fixture
def address(site, tmp_path, monkeypatch):
    """Put a file everywhere; return the address of a scheme for it."""

    def put(scheme, value):
        path = save(tmp_path / 'x.pth', value)
        content = path.read_bytes()
        site['/x.pth'] = content
        home = tmp_path / 'mmengine'
        home.mkdir()
        (home / 'file.pth').write_bytes(content)
        (home / 'open_mmlab.json').write_text(json.dumps({
            'own/x': site.url + '/x.pth', 'own/file': 'file.pth'}))
        for names in ('get_torchvision_models', 'get_mmcls_models'):
            monkeypatch.setattr(mmengine_loaders, names,
                                lambda: dict(own=site.url + '/x.pth'))

        class Store:

            def get(self, filepath):
                return content

        monkeypatch.setitem(backends, 'petrel', Store)
        return SCHEMES[scheme].format(folder=tmp_path, site=site.url)

    return put


def load_from(address):
    runner_of().load_checkpoint(address)


def resume(address):
    runner_of().resume(address)


def runner_of():
    # Everything but the reading of checkpoints costs seconds.
    runner = object.__new__(Runner)
    runner.model, runner._has_loaded = Net(), False
    runner.call_hook = lambda *args, **kwargs: None
    return runner


def teacher(address):
    build_teacher({}, address, lambda config: Net(), lambda module: module)


def pretrained(address):
    Net(dict(type='Pretrained', checkpoint=address)).init_weights()


def pretrained_part(address):
    Net(dict(type='Pretrained', checkpoint=address,
             prefix='backbone.')).init_weights()


@pytest.mark.parametrize('read', [
    load_from, resume, teacher, pretrained, pretrained_part
], ids=lambda function: function.__name__)
@pytest.mark.parametrize('scheme', SCHEMES)
def test_a_command_is_refused_from_everywhere(address, tmp_path, scheme,
                                              read):
    marker = tmp_path / 'ran'
    payload = Call(os.system, f'touch {marker}')
    url = address(scheme, dict(state_dict=Net().state_dict(), meta=payload))

    with pytest.raises(UnsafeCheckpointError, match=(
            rf'was not loaded: it asks for {os.system.__module__}\.system')):
        read(url)
    assert not marker.exists()
    # The file is as dangerous as it claims.
    torch.load(tmp_path / 'x.pth', weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('scheme', SCHEMES)
def test_a_good_file_loads_from_everywhere(address, scheme):
    saved = dict(state_dict={'backbone.weight': torch.ones(2)})
    loaded = CheckpointLoader.load_checkpoint(address(scheme, saved))

    # mmcls:// names backbones, for a model's init_cfg.
    name = 'weight' if scheme == 'mmcls' else 'backbone.weight'
    assert loaded['state_dict'].keys() == {name}
    assert torch.equal(loaded['state_dict'][name], torch.ones(2))


def test_every_scheme_of_mmengine_is_read_by_us():
    source = inspect.getsource(mmengine_loaders)
    ours = {
        prefix for prefix, loader in CheckpointLoader._schemes.items()
        if loader.__module__.startswith('mmdeepkd.checkpoints.')
    }

    assert ours == set(CheckpointLoader._schemes)
    assert len(ours) >= 10
    # A loader that a later MMEngine adds must have one here.
    assert source.count('@CheckpointLoader.register_scheme(') == len(
        set(CheckpointLoader._schemes.values()))


def test_a_loader_has_a_name_in_the_log():
    for loader in CheckpointLoader._schemes.values():
        # MMEngine logs "by <name> backend".
        assert loader.__name__.startswith('load_from_')
        assert getattr(mmdeepkd.checkpoints, loader.__name__) is loader


def test_pavi_is_refused():
    with pytest.raises(NotImplementedError, match=(
            'pavi://x cannot be loaded: mmdeepkd does not read pavi://; '
            'download the file')):
        CheckpointLoader.load_checkpoint('pavi://x')


@pytest.mark.parametrize('address, message', [
    ('torchvision://resnet5',
     'torchvision://resnet5 is not among .* did you mean resnet50'),
    ('openmmlab://nothing/like/it', 'give the URL of the file instead'),
    ('mmcls://mobilenet_v5', 'did you mean mobilenet_v2'),
])
def test_an_unknown_model_name_is_said(address, message):
    with pytest.raises(KeyError, match=message):
        CheckpointLoader.load_checkpoint(address)


@pytest.mark.parametrize('scheme', SCHEMES)
def test_tensors_go_where_the_caller_asks(address, scheme):
    saved = dict(state_dict={'backbone.weight': torch.ones(2)})
    loaded = CheckpointLoader.load_checkpoint(
        address(scheme, saved), map_location='meta')

    assert next(iter(loaded['state_dict'].values())).is_meta
