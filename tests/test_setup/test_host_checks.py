"""Which Python is taken, what the compiler check asks, the sign of life."""
import json
import sys

import host_checks
import logged_run
import pytest
from host_checks import SetupError, check_build_tools, find_python

from tests.test_setup.pretend import write_command

SUPPORTED = (3, 10), (3, 12)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Fill an empty PATH with Pythons of given versions."""
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path / 'pyenv'))

    def install(name, version, venv=True):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        said = json.dumps({
            'executable': str(path), 'version': version, 'pip': True,
            'venv': venv, 'headers': True
        })
        write_command(path, f"echo '{said}'")
        return str(path)

    return install


@pytest.mark.parametrize('version', [(3, 10), (3, 12)])
def test_python3_is_taken_when_supported(machine, version):
    path = machine('python3', version)
    machine('python3.11', (3, 11))

    assert find_python(SUPPORTED)['executable'] == path


@pytest.mark.parametrize('version', [(3, 9), (3, 13), (4, 0)])
def test_another_python_is_taken_when_python3_is_not(machine, version):
    machine('python3', version)
    path = machine('python3.11', (3, 11))
    machine('python3.10', (3, 10))

    assert find_python(SUPPORTED)['executable'] == path


def test_a_python_that_pyenv_keeps_but_does_not_switch_on_is_taken(
        machine, tmp_path):
    machine('python3', (3, 13))
    # As pyenv's shims do for a version that is not switched on.
    write_command(tmp_path / 'python3.11', 'echo command not found; exit 127')
    path = machine('pyenv/versions/3.11.7/bin/python', (3, 11))

    assert find_python(SUPPORTED)['executable'] == path


def test_no_supported_python_is_said_with_what_there_is(machine, tmp_path):
    machine('python3', (3, 13))
    write_command(tmp_path / 'python3.11', 'echo no such version; exit 127')

    with pytest.raises(SetupError, match=(
            r'need Python 3\.10 to 3\.12 and this machine has 3\.13; install '
            r'python3\.12, or set PYTHON=/path/to/python')):
        find_python(SUPPORTED)


def test_a_python_without_venv_is_said(machine):
    machine('python3', (3, 11), venv=False)

    with pytest.raises(SetupError, match='install its venv package'):
        find_python(SUPPORTED)


def test_the_running_python_answers_the_probe():
    found = host_checks.probe(sys.executable)

    assert found['executable'] == sys.executable
    assert tuple(found['version']) == sys.version_info[:2]


def test_a_compiler_named_by_cxx_is_the_one_that_counts(
        tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    python = {'executable': 'python3', 'headers': True}
    write_command(tmp_path / 'g++', '')
    check_build_tools(python)
    monkeypatch.setenv('CXX', 'clang++-18 -m64')

    with pytest.raises(SetupError, match='no C\\+\\+ compiler clang\\+\\+-18'):
        check_build_tools(python)


def test_missing_python_headers_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    write_command(tmp_path / 'c++', '')

    with pytest.raises(SetupError, match='has no header Python.h'):
        check_build_tools({'executable': 'python3', 'headers': False})


def test_disks_are_summed_where_they_are_one(tmp_path, monkeypatch):
    venv, cache = tmp_path / '.venv', tmp_path / 'cache'
    monkeypatch.setattr(host_checks.tempfile, 'gettempdir',
                        lambda: str(tmp_path))
    usage = host_checks.shutil.disk_usage('/')._replace(free=9 * 2**30)
    monkeypatch.setattr(host_checks.shutil, 'disk_usage', lambda _: usage)

    with pytest.raises(SetupError, match=r'9\.0 GB free .* needs 10 GB'):
        host_checks.check_disk(venv, cache)

    torch = venv / 'lib' / 'python3.11' / 'site-packages' / 'torch'
    torch.mkdir(parents=True)
    (torch / 'version.py').touch()
    host_checks.check_disk(venv, cache)


def test_a_long_command_shows_that_it_lives(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logged_run, 'HEARTBEAT_SECONDS', 0.1)
    command = write_command(
        tmp_path / 'work', 'echo "[41/77] c++ nms.cpp"; echo warning; sleep 1')
    logged_run.run_logged('building', [str(command)], tmp_path / 'log')
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == 'building ...'
    assert '  building: 0 min 00 s, 41 of 77 files compiled' in lines
    assert lines[-1].startswith('  done in 0 min')
