"""The Chromium of the tests: which is taken, how one is installed."""
import os
import shutil

import pytest
from chromium import provide_chromium
from find_browser import find_browser
from host_checks import SetupError

from tests.test_setup.pretend import write_command

LACKING = (
    'the tests open pages in Chromium and there is none that runs; install '
    'chromium, chromium-browser, google-chrome or google-chrome-stable (on '
    'Debian: apt-get install chromium) or run "{} -m playwright install '
    '--with-deps chromium".')


class Machine:
    """A path with only ``env``, and a record of what was run."""

    def __init__(self, folder, copy):
        self.bin, self.copy = folder / 'bin', copy
        self.log = folder / 'log'
        self.cache = folder / 'cache'
        self.template = write_command(folder / 'template', 'exit 0')

    def add(self, name, *lines):
        """Add a command that records how it is called."""
        return write_command(self.bin / name, '\n'.join(
            [f'echo {name} "$@" >> {self.log}.calls', *lines]))

    def bring(self, path):
        """Return the shell line that installs a browser."""
        return f'{self.copy} {self.template} {path}'

    def add_apt(self):
        self.add('apt-get', 'test "$1" = update || '
                 + self.bring(self.bin / 'chromium'))

    def provide(self):
        provide_chromium('python3', self.log, self.cache)
        return find_browser()

    @property
    def calls(self):
        file = self.log.with_name('log.calls')
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    bare = Machine(tmp_path, shutil.which('cp'))
    bare.bin.mkdir()
    os.symlink(shutil.which('env'), bare.bin / 'env')
    monkeypatch.setenv('PATH', str(bare.bin))
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('PLAYWRIGHT_BROWSERS_PATH', raising=False)
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    return bare


@pytest.mark.parametrize('name', [
    'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'])
def test_a_browser_on_the_path_is_taken(machine, name):
    path = machine.add(name)
    machine.add_apt()

    assert machine.provide() == str(path)
    assert set(machine.calls) == {f'{name} --version'}


def test_a_browser_that_does_not_run_is_none(machine):
    """As Ubuntu's chromium-browser where there is no snap."""
    machine.add('chromium-browser', 'exit 1')
    assert find_browser() is None
    path = machine.add('google-chrome')

    assert find_browser() == str(path)


def test_root_takes_that_of_the_system(machine):
    machine.add_apt()

    assert machine.provide() == str(machine.bin / 'chromium')
    assert machine.calls == [
        'apt-get update',
        'apt-get install -y --no-install-recommends chromium']
    machine.provide()
    assert len(machine.calls) == 2


def test_sudo_is_asked_without_a_password(machine, monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    machine.add_apt()
    machine.add('sudo', 'shift', 'test "$1" = true || exec "$@"')
    machine.add('python3', 'exit 1')

    assert machine.provide() == str(machine.bin / 'chromium')
    assert [call for call in machine.calls
            if call.startswith(('sudo', 'python3'))] == [
        'python3 -m playwright install chromium', 'sudo -n true',
        'sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update',
        'sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y '
        '--no-install-recommends chromium']


def test_others_take_that_of_playwright(machine, monkeypatch, tmp_path):
    """The system is not changed, though sudo would let them."""
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    machine.add_apt()
    machine.add('sudo', 'shift', 'test "$1" = true || exec "$@"')
    path = tmp_path / '.cache/ms-playwright/chromium-7/chrome-linux64/chrome'
    path.parent.mkdir(parents=True)
    machine.add('python3', machine.bring(path))

    assert machine.provide() == str(path)
    assert machine.calls == ['python3 -m playwright install chromium']


@pytest.mark.parametrize('sudo', [True, False])
def test_without_playwright_and_root_there_is_none(machine, monkeypatch,
                                                   sudo):
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    machine.add_apt()
    machine.add('python3', 'exit 1')
    if sudo:
        machine.add('sudo', 'exit 1')
    with pytest.raises(SetupError, match='there is none that runs'):
        machine.provide()

    assert machine.calls == ['python3 -m playwright install chromium'] + (
        sudo * ['sudo -n true'])


def test_one_broken_list_of_packages_is_not_the_end(machine, capfd):
    machine.add('apt-get', 'if test "$1" = update',
                'then echo E: no such list; exit 100; fi',
                machine.bring(machine.bin / 'chromium'))

    assert machine.provide() == str(machine.bin / 'chromium')
    assert '  | E: no such list' in capfd.readouterr().err
    assert machine.calls == [
        'apt-get update',
        'apt-get install -y --no-install-recommends chromium']


def test_a_system_that_has_none_is_not_the_end(machine, monkeypatch, tmp_path,
                                               capfd):
    machine.add('apt-get', 'echo E: no such package; exit 100')
    monkeypatch.setenv('PLAYWRIGHT_BROWSERS_PATH', str(tmp_path / 'own'))
    path = tmp_path / 'own' / 'chromium-7' / 'chrome-linux' / 'chrome'
    path.parent.mkdir(parents=True)
    machine.add('python3', machine.bring(path))

    assert machine.provide() == str(path)
    assert '  | E: no such package' in capfd.readouterr().err


def test_none_at_all_is_said_in_one_sentence(machine):
    machine.add('python3', 'exit 1')
    with pytest.raises(SetupError) as error:
        machine.provide()

    assert str(error.value) == LACKING.format('python3')


def test_only_the_tests_get_one(checkout):
    (checkout.bin / 'chromium').unlink()
    for need in ('runtime', 'bench', 'both', 'lint'):
        assert checkout.run(need)[0] == 0
    assert not any('playwright' in call for call in checkout.calls)

    status, out, err = checkout.run('tests')
    assert (status, err) == (0, '')
    assert out.splitlines()[0] == "installing playwright's Chromium ..."
    assert checkout.calls[-1] == 'playwright install chromium'
    assert checkout.run('tests') == (0, '', '')


def test_the_set_up_stops_without_one(checkout):
    (checkout.bin / 'chromium').unlink()
    status, _, err = checkout.run('tests', FAKE_PLAYWRIGHT='fail')

    assert status == 1
    assert err.splitlines()[-1] == 'set-up stopped: ' + LACKING.format(
        checkout.folder / '.venv' / 'bin' / 'python')
