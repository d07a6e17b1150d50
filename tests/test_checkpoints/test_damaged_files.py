"""A file that cannot be read is one sentence: what it is, what to do."""
import gzip
import io
import json
import pickle
import random
import re
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmdeepkd.checkpoints import UnsafeCheckpointError, read_checkpoint
from mmdeepkd.checkpoints.download import read_url
from tests.helpers.checkpoint_files import (
    save,
    save_hidden_torchscript,
    save_pickle,
    save_torchscript,
)

LEGACY = pytest.mark.parametrize('legacy', [False, True])
MODEL = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def zip_of(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# As the safetensors package writes it, which need not be installed.
_HEADER = json.dumps(dict(
    w=dict(dtype='F32', shape=[1], data_offsets=[0, 4]))).encode()
SAFETENSORS = len(_HEADER).to_bytes(8, 'little') + _HEADER + bytes(4)

FILES = {
    'empty': (b'', 'is empty: download or save it again'),
    'error page': (
        b'\n<!DOCTYPE html>\n<html><body>404</body></html>',
        'is a web page, not a checkpoint: its link leads to a page .*; '
        'download the file itself'),
    'page': (b'<html></html>', 'is a web page'),
    'store error': (b'<?xml version="1.0"?><Error/>', 'is a web page'),
    'git-lfs': (b'version https://git-lfs.github.com/spec/v1\noid sha256:1\n',
                'is a git-lfs pointer, .* run "git lfs pull"'),
    'json': (b'{"state_dict": {}}', 'is a text file, not a checkpoint'),
    'text': ('Zeichen: \u00e4\u00f6\u00fc '.encode() * 99, 'is a text file'),
    'safetensors': (SAFETENSORS, 'is a safetensors file, .* convert it with'),
    'compressed': (gzip.compress(b'x'), 'is a compressed archive: unpack it'),
    'another zip': (zip_of(a='1', b='2'),
                    'is a zip archive, but damaged or not written by torch'),
    'start of a zip': (b'PK\x03\x04', 'is cut off, its end is missing'),
    'pickled list': (pickle.dumps([1, 2]), 'is no checkpoint, or is damaged: '
                     'give the file that torch.save wrote'),
    # As Detectron2's model zoo has them.
    'pickled arrays': (pickle.dumps(dict(model=dict(w=np.ones(2)))),
                       'is no checkpoint, or is damaged'),
    'zeros': (b'\x00' * 99, 'is no checkpoint, or is damaged'),
    'noise': (random.Random(0).getrandbits(8000).to_bytes(1000, 'little'),
              'is no checkpoint, or is damaged'),
}


def refuse(path, message):
    """Read from a path, a buffer and through MMEngine."""
    named = re.escape(str(path))
    with pytest.raises(RuntimeError, match=f'^{named} {message}'):
        read_checkpoint(path)
    with pytest.raises(RuntimeError, match=f'^{named} {message}'):
        CheckpointLoader.load_checkpoint(str(path))
    with pytest.raises(RuntimeError, match=f'^the given buffer {message}'):
        read_checkpoint(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize('kind', FILES)
def test_what_is_no_checkpoint_is_said(tmp_path, kind):
    content, message = FILES[kind]
    path = tmp_path / 'x.pth'
    path.write_bytes(content)

    refuse(path, message)


@pytest.mark.parametrize('kind', FILES)
def test_what_is_no_checkpoint_is_said_of_a_download(site, cache, kind):
    content, message = FILES[kind]
    site['/x.pth'] = content
    url = site.url + '/x.pth'

    with pytest.raises(RuntimeError, match=f'^{url} {message}'):
        CheckpointLoader.load_checkpoint(url)
    assert list(cache.iterdir()) == []


@LEGACY
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_named(tmp_path, legacy, share):
    path = save(tmp_path / 'x.pth', MODEL.state_dict(), legacy)
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])

    refuse(path, '(is cut off, its end is missing|is damaged, perhaps cut '
           'off): download or save it again')


@LEGACY
def test_flipped_bytes_are_an_error_that_says_so_or_harmless(legacy):
    buffer = io.BytesIO()
    torch.save(dict(MODEL.state_dict(), n=np.float64(1), c=Counter('a')),
               buffer, _use_new_zipfile_serialization=not legacy)
    content, chance, refused = buffer.getvalue(), random.Random(0), 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        try:
            read_checkpoint(io.BytesIO(bytes(damaged)))
        except (MemoryError, RuntimeError, UnsafeCheckpointError) as error:
            assert re.search('damaged|is cut off|was not loaded', str(error))
            refused += 1

    assert refused > 20


@pytest.mark.parametrize('write', [save_torchscript, save_hidden_torchscript])
def test_a_torchscript_archive_is_named(tmp_path, write):
    refuse(write(tmp_path / 'x.pt'), 'is a TorchScript archive, not a check')


def test_a_tar_archive_is_not_taken_apart(tmp_path):
    with tarfile.open(tmp_path / 'x.pth', 'w') as archive:
        archive.add(save(tmp_path / 'storages', 1), 'storages')

    with pytest.raises(RuntimeError, match='x.pth .*it is a tar archive, as'):
        read_checkpoint(tmp_path / 'x.pth')


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / 'none.pth'
    with pytest.raises(FileNotFoundError, match=(
            f'there is no checkpoint {path}: correct the path')):
        read_checkpoint(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=(
            f'no checkpoint none.pth: .* begins at {tmp_path} if it is rela')):
        CheckpointLoader.load_checkpoint('none.pth')


def test_a_work_dir_is_no_checkpoint(tmp_path):
    message = f'{tmp_path} is a folder, not a checkpoint: give the path of a'
    with pytest.raises(IsADirectoryError, match=f'{message} file in it.$'):
        read_checkpoint(tmp_path)
    save(tmp_path / 'epoch_1.pth', 1)
    with pytest.raises(IsADirectoryError, match='such as epoch_1.pth'):
        CheckpointLoader.load_checkpoint(str(tmp_path))


def test_a_pickle_of_ones_own_is_no_checkpoint(tmp_path):
    path = save_pickle(tmp_path / 'x.pth', b'no pickle')

    refuse(path, 'is a zip archive, but damaged or not written by torch.save')


def test_a_damaged_file_in_the_cache_can_be_deleted(site, cache):
    cache.mkdir(parents=True)
    cached = cache / 'x.pth'
    save(cached, torch.ones(1))
    content = cached.read_bytes()
    site['/x.pth'] = content
    # As torch.hub leaves it when a server breaks the connection.
    cached.write_bytes(content[:len(content) // 2])
    url = site.url + '/x.pth'

    with pytest.raises(RuntimeError, match=(
            rf'^{url} \(kept in {cached}: delete that to download it again\) '
            'is cut off')):
        read_url(url)
    cached.unlink()
    assert read_url(url).tolist() == [1]
