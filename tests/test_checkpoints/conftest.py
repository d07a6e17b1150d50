import pytest

from tests.helpers.web_server import web_server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder that downloads go to, empty and of this test alone."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'mmengine'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


@pytest.fixture
def site(cache):
    with web_server() as site:
        yield site
