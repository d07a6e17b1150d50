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
        # Another process may have installed one while this one waited.
        if find_browser():
            return
        for commands in ways(python):
            for label, command in commands:
                # A list of packages that cannot be read may be of another
                # source than Chromium's: the installation is tried anyway.
                try:
                    run_logged(label, command, log)
                except SetupError as error:
                    print('  ' + str(error), file=sys.stderr)
            if find_browser():
                return
        check_chromium(python)


def ways(python):
    """Yield how to install one, best first: labelled commands.

    Root has that of the system; for others the system is changed only where
    playwright's, in their home, does not run.
    """
    playwright = [("installing playwright's Chromium",
                   [python, '-m', 'playwright', 'install', 'chromium'])]
    if os.geteuid() != 0:
        yield playwright
    root = as_root()
    if root is not None and shutil.which('apt-get'):
        yield [
            ("reading the system's list of packages",
             root + APT + ['update']),
            ("installing the system's Chromium",
             root + APT + ['install', '-y', '--no-install-recommends',
                           'chromium'])]
    if os.geteuid() == 0:
        yield playwright


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
