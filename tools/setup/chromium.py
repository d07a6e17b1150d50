"""See to it that there is a Chromium, which the tests of HTML pages need."""
import os
import shutil
import subprocess
import sys

from find_browser import NAMES, find_browser
from host_checks import SetupError
from logged_run import run_logged
from mmcv_wheel import locked

APT = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get']


def check_chromium(python):
    """Check that there is one; nothing is installed.

    Raises:
        SetupError: There is none.
    """
    if find_browser() is None:
        raise SetupError(
            'the tests open pages in Chromium and there is none that runs; '
            'install {} (on Debian: apt-get install chromium) or run "{} -m '
            'playwright install --with-deps chromium".'.format(
                ', '.join(NAMES[:-1]) + ' or ' + NAMES[-1], python))


def provide_chromium(python, log, cache):
    """Install a Chromium unless there is one.

    Args:
        python: The Python whose playwright may bring one.
        log: The file that the output is appended to.
        cache: The folder of the lock: it is installed for the machine.

    Raises:
        SetupError: There is none, and none could be installed.
    """
    if find_browser():
        return
    with locked(cache / 'locks' / 'chromium', 'the installation of Chromium'):
        for commands in ways(python):
            if find_browser():
                return
            try:
                for label, command in commands:
                    run_logged(label, command, log)
            except SetupError as error:
                print('  ' + str(error), file=sys.stderr)
        check_chromium(python)


def ways(python):
    """Return how to install one, best first: labelled commands."""
    found = []
    root = as_root()
    if root is not None and shutil.which('apt-get'):
        found.append([
            ("reading the system's list of packages",
             root + APT + ['update']),
            ("installing the system's Chromium",
             root + APT + ['install', '-y', '--no-install-recommends',
                           'chromium'])])
    found.append([
        ("installing playwright's Chromium",
         [python, '-m', 'playwright', 'install', 'chromium'])])
    return found


def as_root():
    """Return what to put before a command of root's; None if it is barred."""
    if os.geteuid() == 0:
        return []
    sudo = ['sudo', '-n']
    try:
        barred = subprocess.call(sudo + ['true'], stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return None if barred else sudo
