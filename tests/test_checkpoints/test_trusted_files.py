"""Files that the user vouches for are loaded with all they ask for."""
import hashlib
import logging
import os
import re

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader

from mmdeepkd.checkpoints import UnsafeCheckpointError, read_checkpoint
from mmdeepkd.distillers.teacher import load_strictly
from tests.helpers.checkpoint_files import Call, save

NAME = 'MMDEEPKD_TRUSTED_FILES'


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'ran'


@pytest.fixture
def path(tmp_path, marker):
    return save(tmp_path / 'x.pth', dict(
        state_dict=torch.nn.Linear(1, 1).state_dict(),
        meta=Call(os.system, f'touch {marker}')))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_refusal_says_how_to_vouch_for_the_file(path, marker, monkeypatch):
    with pytest.raises(UnsafeCheckpointError) as caught:
        read_checkpoint(path)
    setting = re.search(rf'set the environment variable {NAME}=(\w+)\.$',
                        str(caught.value))
    monkeypatch.setenv(NAME, setting.group(1))

    assert read_checkpoint(path)['meta'] == 0
    assert marker.exists()


@pytest.mark.parametrize('before', ['AA', ' aa , bb,'])
def test_files_that_were_vouched_for_before_stay_so(path, before,
                                                    monkeypatch):
    monkeypatch.setenv(NAME, before)
    with pytest.raises(UnsafeCheckpointError) as caught:
        read_checkpoint(path)
    joined = ','.join(re.findall(r'\w+', before.lower()) + [digest(path)])

    assert str(caught.value).endswith(f' variable {NAME}={joined}.')


def local(path, site):
    return str(path)


def web(path, site):
    site['/x.pth'] = path.read_bytes()
    return site.url + '/x.pth'


@pytest.mark.parametrize('address', [local, web])
def test_every_way_in_knows_the_files(path, site, address, monkeypatch):
    monkeypatch.setenv(NAME, digest(path))
    source = address(path, site)
    model = BaseModule(dict(type='Pretrained', checkpoint=source))
    model.weight = torch.nn.Parameter(torch.zeros(1, 1))
    model.init_weights()
    load_strictly(torch.nn.Linear(1, 1), source)

    loaded = CheckpointLoader.load_checkpoint(source)
    assert torch.equal(model.weight, loaded['state_dict']['weight'])


@pytest.mark.parametrize('setting', [
    '{0}', '{upper}', 'aa,{0}', ' {0} , aa', '{0},'
])
def test_the_variable_is_a_list(path, setting, monkeypatch):
    monkeypatch.setenv(NAME, setting.format(
        digest(path), upper=digest(path).upper()))

    assert 'state_dict' in read_checkpoint(path)


@pytest.mark.parametrize('setting', [
    '', ',', '1', '*', '{path}', 'x.pth', '{0}0', '{short}'
])
def test_nothing_else_vouches_for_a_file(path, marker, setting, monkeypatch):
    monkeypatch.setenv(NAME, setting.format(
        digest(path), path=path, short=digest(path)[:8]))
    with pytest.raises(UnsafeCheckpointError, match=NAME):
        read_checkpoint(path)
    assert not marker.exists()


def test_a_file_that_was_exchanged_is_not_trusted(path, marker, monkeypatch):
    monkeypatch.setenv(NAME, digest(path))
    save(path, Call(os.system, f'touch  {marker}'))
    with pytest.raises(UnsafeCheckpointError):
        read_checkpoint(path)
    assert not marker.exists()


def test_it_is_said_in_the_log(path, monkeypatch):
    said = []
    monkeypatch.setattr('mmdeepkd.checkpoints.reading.print_log',
                        lambda *args: said.append(args))
    monkeypatch.setenv(NAME, digest(path))
    read_checkpoint(path)

    [(message, _, level)] = said
    assert level == logging.WARNING
    assert re.fullmatch(
        rf'{path} is loaded although it asks for \w+\.system, which could '
        rf'run code: {NAME} lists it\.', message)
