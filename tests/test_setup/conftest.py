"""A copy of the set-up in a temporary checkout, with commands that pretend.

Nothing is downloaded or compiled: ``python3`` is ``fake_python.py``.
"""
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.test_setup.pretend import ROOT, Checkout, write_command

FAKE = Path(__file__).with_name('fake_python.py')
sys.path.insert(0, str(ROOT / 'tools' / 'setup'))


@pytest.fixture
def make_checkout(tmp_path):
    """Build checkouts that share one cache, as on one machine."""

    def make(name='project'):
        folder = tmp_path / name
        shutil.copytree(ROOT / 'tools' / 'setup', folder / 'tools' / 'setup')
        for file in ('tools/setup_env.sh', 'setup.py', 'Makefile'):
            shutil.copy(ROOT / file, folder / file)
        shutil.copytree(ROOT / 'requirements', folder / 'requirements')
        bin_folder = tmp_path / f'{name}-bin'
        write_command(bin_folder / 'python3',
                      f'exec {sys.executable} {FAKE} "$0" "$@"')
        write_command(bin_folder / 'c++', 'exit 0')
        write_command(bin_folder / 'chromium', 'exit 0')
        for command in ('bash', 'sh', 'env', 'dirname', 'make'):
            os.symlink(shutil.which(command), bin_folder / command)
        calls = tmp_path / f'{name}-calls'
        calls.write_text('')
        return Checkout(folder, bin_folder, tmp_path / 'cache', calls)

    return make


@pytest.fixture
def checkout(make_checkout):
    return make_checkout()
