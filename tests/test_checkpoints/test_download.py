"""Downloads: once, whole or not at all, and said when they fail."""
import logging
import zipfile

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch.hub import load_state_dict_from_url

from mmdeepkd.checkpoints import UnsafeCheckpointError
from mmdeepkd.checkpoints.download import read_url
from tests.helpers.checkpoint_files import save
from tests.helpers.processes import free_port


@pytest.fixture
def content(tmp_path):
    return save(tmp_path / 'y.pth', dict(x=torch.arange(999))).read_bytes()


@pytest.fixture
def url(site, content):
    site['/a/x-0123abcd.pth'] = content
    return site.url + '/a/x-0123abcd.pth'


def test_a_file_is_downloaded_once(site, cache, url):
    for _ in range(2):
        assert read_url(url)['x'].sum() == 999 * 998 // 2

    assert site.asked == ['/a/x-0123abcd.pth']
    assert [path.name for path in cache.iterdir()] == ['x-0123abcd.pth']


def test_torch_hub_finds_what_we_downloaded_and_we_what_it_did(
        site, cache, url):
    read_url(url)
    load_state_dict_from_url(url, progress=False)
    assert len(site.asked) == 1

    (cache / 'x-0123abcd.pth').unlink()
    load_state_dict_from_url(url, progress=False)
    read_url(url)
    assert len(site.asked) == 2


@pytest.mark.parametrize('name', ['best.pth', 'x-20200130.pth', 'x'])
def test_two_files_of_the_same_name_are_two(site, cache, tmp_path, name):
    urls = [f'{site.url}/{folder}/{name}' for folder in 'ab']
    for number, folder in enumerate('ab'):
        site[f'/{folder}/{name}'] = save(tmp_path / 'y', number).read_bytes()

    assert [read_url(url) for url in urls * 2] == [0, 1, 0, 1]
    assert len(site.asked) == len(list(cache.iterdir())) == 2


def test_a_file_that_torch_hub_left_is_taken_by_its_name_and_said(
        site, cache, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmdeepkd.checkpoints.download.print_log',
                        lambda *args: said.append(args))
    site['/a/best.pth'] = save(tmp_path / 'y', 0).read_bytes()
    cache.mkdir(parents=True)
    save(cache / 'best.pth', 1)

    assert read_url(site.url + '/a/best.pth') == 1
    assert said[0][0] == (
        f'{cache}/best.pth is taken for {site.url}/a/best.pth, by its name '
        'alone: another program put it there. If it may be from elsewhere, '
        'delete it.')
    assert said[0][2] == logging.WARNING
    (cache / 'best.pth').unlink()
    assert read_url(site.url + '/a/best.pth') == 0


@pytest.mark.parametrize('legacy', [False, True])
def test_a_broken_connection_leaves_no_half_file(
        site, cache, tmp_path, legacy):
    content = save(tmp_path / 'y.pth', dict(x=torch.arange(999)),
                   legacy).read_bytes()
    site['/x.pth'] = content
    site.cut.add('/x.pth')
    url = site.url + '/x.pth'

    with pytest.raises(RuntimeError, match=f'^{url} is .*cut off'):
        CheckpointLoader.load_checkpoint(url)
    assert list(cache.iterdir()) == []
    site.cut.clear()
    assert len(CheckpointLoader.load_checkpoint(url)['x']) == 999


def test_a_page_that_is_not_there(site, cache):
    url = site.url + '/none.pth'
    with pytest.raises(ConnectionError, match=(
            rf'^{url} could not be downloaded: the server answered 404 \(Not '
            'Found\\); check the URL and the network, or download the file '
            f'elsewhere and put it at {cache}/none-of-[0-9a-f]{{8}}.pth.$')):
        CheckpointLoader.load_checkpoint(url)
    assert list(cache.iterdir()) == []


def test_a_machine_that_is_not_there(cache):
    url = f'http://127.0.0.1:{free_port()}/x.pth'
    with pytest.raises(ConnectionError, match=(
            f'^{url} could not be downloaded: .*Connection refused.*; check')):
        CheckpointLoader.load_checkpoint(url)


def test_a_refused_file_is_not_kept(site, cache, tmp_path):
    # Where another program would load it without a question.
    site['/x.pth'] = save(tmp_path / 'y.pth',
                          torch.nn.Linear(1, 1)).read_bytes()
    with pytest.raises(UnsafeCheckpointError, match=(
            f'^{site.url}/x.pth was not loaded: it asks for torch.nn')):
        CheckpointLoader.load_checkpoint(site.url + '/x.pth')
    assert list(cache.iterdir()) == []


def test_a_file_in_a_zip_archive_is_unpacked(site, tmp_path, content):
    with zipfile.ZipFile(tmp_path / 'z.zip', 'w') as archive:
        archive.writestr('x.pth', content)
    site['/x.zip'] = (tmp_path / 'z.zip').read_bytes()

    for _ in range(2):
        assert len(read_url(site.url + '/x.zip')['x']) == 999


@pytest.mark.parametrize('rank, local_rank, reads', [
    (0, None, [True]), (3, None, [False]), (4, '0', [True]), (4, '1', [False])
])
def test_the_first_process_of_each_machine_downloads(
        site, cache, url, monkeypatch, rank, local_rank, reads):
    there = []
    monkeypatch.setattr('mmdeepkd.checkpoints.download.get_rank',
                        lambda: rank)
    monkeypatch.setattr(
        'mmdeepkd.checkpoints.download.barrier',
        lambda: there.append((cache / 'x-0123abcd.pth').exists()))
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    if local_rank is not None:
        monkeypatch.setenv('LOCAL_RANK', local_rank)

    # When the first comes to the barrier, the file is there for the others.
    assert len(read_url(url)['x']) == 999
    assert there == reads


def test_the_others_do_not_wait_for_a_failed_download(site, monkeypatch):
    arrived = []
    monkeypatch.setattr('mmdeepkd.checkpoints.download.barrier',
                        lambda: arrived.append(True))
    with pytest.raises(ConnectionError):
        read_url(site.url + '/none.pth')
    assert arrived == [True]
