"""What tools/doctor.py finds out where it runs."""
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.processes import ROOT, run_command
from tools.doctor_steps.facts import (
    installed_versions,
    python_command,
    try_imports,
)


def test_a_package_without_a_version_is_broken(tmp_path, monkeypatch):
    whole = tmp_path / 'whole'
    for name in ('mmcv_full-1.7.1', 'timm-1.0.1', 'whole/timm-1.0.2'):
        (tmp_path / f'{name}.dist-info').mkdir(parents=True)
    for folder, version in ((tmp_path / 'timm-1.0.1', 'unknown'),
                            (whole / 'timm-1.0.2', '1.0.2')):
        Path(f'{folder}.dist-info', 'METADATA').write_text(
            f'Name: timm\nVersion: {version}\n')
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])

    assert installed_versions() == ({}, {'mmcv': 'mmcv-full', 'timm': 'timm'})
    sys.path.append(str(whole))
    assert installed_versions() == ({'timm': '1.0.2'}, {'mmcv': 'mmcv-full'})


def test_commands_name_the_python_that_was_looked_at(tmp_path, monkeypatch):
    own, other = tmp_path / 'own env', tmp_path / 'other'
    for folder in (own, other):
        folder.mkdir()
        (folder / 'python').symlink_to(sys.executable)
    executable = str(own / 'python')

    monkeypatch.setenv('PATH', str(own))
    assert python_command(executable) == 'python'
    monkeypatch.setenv('PATH', str(other) + os.pathsep + str(own))
    assert python_command(executable) == f"'{executable}'"
    monkeypatch.setenv('PATH', '')
    assert python_command(executable) == f"'{executable}'"


def test_a_module_that_kills_the_process_is_named(tmp_path, monkeypatch):
    (tmp_path / 'deadly.py').write_text('import os; os.abort()')
    (tmp_path / 'faulty.py').write_text('print("doctor"); import none_such')
    (tmp_path / 'sound.py').write_text('print("hello")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    errors, cuda, gpu = try_imports(['sound', 'faulty', 'deadly', 'sound'])

    assert errors == {
        'faulty': "ModuleNotFoundError: No module named 'none_such'",
        'deadly': 'the import ended the process or did not end'
    }
    assert (cuda, gpu) == (None, False)


def test_it_runs_here():
    result = run_command(sys.executable, ROOT / 'tools' / 'doctor.py')

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == 'nothing is wrong'
    assert 'tested stack' in result.stdout


def test_it_needs_no_package(tmp_path):
    # -S and -E: no site-packages, no PYTHONPATH. It tries imports in a
    # process without these options.
    result = subprocess.run(
        [sys.executable, '-S', '-E', str(ROOT / 'tools' / 'doctor.py')],
        capture_output=True, text=True, cwd=tmp_path)

    assert result.returncode == 1, result.stderr
    assert ('wrong: torch and torchvision are not installed; fix: '
            f'{python_command(sys.executable)} -m pip install torch=='
            ) in result.stdout
    assert result.stdout.endswith(
        ' wrong: begin with the first, then run this again\n')
