"""PYTHON=/path/to/python: an existing environment is checked, not changed."""
import shutil
import subprocess
import sys

import pytest
from requirement_files import read

from tests.test_setup.pretend import ROOT, write_command

VERSIONS = {'torch': '2.1.2+cu121', 'mmcv': '2.1.0', 'mmengine': '0.10.7',
            'mmdet': '3.3.0', 'mmpretrain': '1.2.0', 'pytest': '9.1.0',
            'setuptools': '80.9.0'}


@pytest.fixture
def own(tmp_path):
    """An environment with its own site folder and nothing else.

    Returns:
        The Python and a function that adds a distribution to it.
    """
    site = tmp_path / 'site'
    site.mkdir()
    python = write_command(tmp_path / 'env' / 'python',
                           f'export PYTHONPATH={site}:$PYTHONPATH\n'
                           f'exec {sys.executable} -S "$@"')

    def add(name, version, files=()):
        info = site / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\n'
                                       f'Version: {version}\n')
        (info / 'RECORD').write_text(''.join(f'{file},,\n' for file in files))

    def add_all(need='runtime'):
        for name in read(ROOT / 'requirements' / f'{need}.txt'):
            files = ['mmcv/_ext.cpython.so'] if name == 'mmcv' else []
            add(name, VERSIONS.get(name, '4.5'), files)

    add.all, add.site = add_all, site
    return python, add


def check(checkout, python, need='runtime'):
    return checkout.run(need, PYTHON=str(python), PYTHONDONTWRITEBYTECODE='1')


def test_everything_missing_is_named_in_one_sentence(checkout, own):
    python, _ = own
    status, out, err = check(checkout, python)

    assert (status, out) == (1, '')
    assert len(err.splitlines()) == 1
    assert err.startswith('set-up stopped: PYTHON=')
    for name, specifier in read(ROOT / 'requirements/runtime.txt').items():
        assert name + specifier in err
    assert '(requirements/runtime.txt); install them there, or run' in err


def test_a_wrong_version_is_named_with_the_one_it_has(checkout, own):
    python, add = own
    add.all()
    shutil.rmtree(next(add.site.glob('mmcv-*')))
    add('mmcv', '2.2.0', ['mmcv/_ext.so'])

    assert ' lacks mmcv>=2.0,<2.2 (it has 2.2.0) (' in check(
        checkout, python)[2]


def test_an_mmcv_without_ops_is_said(checkout, own):
    python, add = own
    add.all()
    shutil.rmtree(next(add.site.glob('mmcv-*')))
    add('mmcv', '2.1.0', ['mmcv/__init__.py'])

    assert ' lacks mmcv built with its ops ' in check(checkout, python)[2]


def test_a_target_asks_only_for_what_it_needs(checkout, own):
    python, add = own
    add.all()
    status, out, err = check(checkout, python)

    assert (status, err) == (0, '')
    assert out.startswith('using ') and 'torch 2.1.2+cu121, mmengine' in out

    status, _, err = check(checkout, python, 'tests')
    assert status == 1
    assert 'lacks mmpretrain>=1.0,<2, timm>=0.6.7, pytest>=7, ' in err


def test_the_tests_need_a_browser_and_install_none(checkout, own):
    python, add = own
    add.all('tests')
    assert check(checkout, python, 'tests')[0] == 0
    (checkout.bin / 'chromium').unlink()
    status, _, err = check(checkout, python, 'tests')

    assert status == 1
    assert err.startswith(
        'set-up stopped: the tests open pages in Chromium and there is none ')
    assert len(err.splitlines()) == 1
    assert checkout.calls == []


def test_a_path_that_is_no_python_is_said(checkout, tmp_path):
    status, _, err = check(checkout, tmp_path / 'nothing')

    assert status == 1
    assert f"there is no '{tmp_path / 'nothing'}' on this machine" in err


def make_demo(checkout, python):
    """Run ``make demo`` in a checkout whose demo says that it ran."""
    package = checkout.folder / 'mmdeepkd'
    package.mkdir()
    (package / '__init__.py').touch()
    (checkout.folder / 'tools' / 'demo.py').write_text(
        'import mmdeepkd\nprint("ran", mmdeepkd.__file__)\n')
    return subprocess.run(
        [shutil.which('make'), 'demo', f'PYTHON={python}'],
        env={**checkout.env, 'PYTHONDONTWRITEBYTECODE': '1'},
        cwd=checkout.folder,
        capture_output=True,
        text=True)


def test_make_stops_when_something_is_missing(checkout, own):
    result = make_demo(checkout, own[0])

    assert result.returncode != 0
    assert 'set-up stopped: PYTHON=' in result.stderr
    assert 'ran' not in result.stdout


def test_make_runs_this_checkout_and_installs_nothing(checkout, own):
    python, add = own
    add.all()
    before = sorted(add.site.rglob('*'))
    result = make_demo(checkout, python)

    assert result.returncode == 0, result.stderr
    assert f'ran {checkout.folder}/mmdeepkd/__init__.py' in result.stdout
    assert sorted(add.site.rglob('*')) == before
    assert not (checkout.folder / '.venv').exists()
    assert checkout.calls == []
