import os
import signal
import sys

import pytest

from tools.bench_steps import command_line
from tools.bench_steps.pool import TaskError


@pytest.fixture(autouse=True)
def unmoved(tmp_path, monkeypatch):
    """Run in a repository of its own; restore what the command changes."""
    monkeypatch.setattr(command_line, 'ROOT', tmp_path)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def start(monkeypatch, *arguments, run=None):
    """Run the command ``bench-x`` and return what its ``run`` was given."""
    given = []
    monkeypatch.setattr(sys, 'argv', ['bench_x.py', *arguments])
    command_line.run_command('bench-x', 'About.', 'a bit of it',
                             ('full', 'short'),
                             run or (lambda *call: given.extend(call)))
    return given


def test_the_plan_and_the_folders_are_those_asked_for(tmp_path, monkeypatch):
    work = tmp_path / 'work_dirs'

    assert start(monkeypatch) == ['full', work / 'bench_x', tmp_path / 'docs']
    # The page of a smoke run replaces no real one.
    assert start(monkeypatch, '--smoke') == [
        'short', work / 'bench_x_smoke', work / 'bench_x_smoke' / 'docs']
    assert start(monkeypatch, '--work-dir', 'elsewhere') == [
        'full', tmp_path / 'elsewhere', tmp_path / 'docs']


def test_it_runs_in_the_repository(tmp_path, monkeypatch):
    (tmp_path / 'below').mkdir()
    monkeypatch.chdir(tmp_path / 'below')
    start(monkeypatch, run=lambda *call: None)

    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize('error, said', [
    (TaskError('the teacher failed; its log is x'),
     'bench-x: the teacher failed; its log is x'),
    (FileExistsError('data/digits exists'), 'bench-x: data/digits exists'),
    (KeyboardInterrupt(),
     'bench-x: interrupted; the same command continues.'),
], ids=['task', 'files', 'interrupt'])
def test_it_ends_with_a_sentence(error, said, monkeypatch):
    def run(*call):
        raise error

    with pytest.raises(SystemExit) as ended:
        start(monkeypatch, run=run)

    assert ended.value.code == said


def test_a_terminated_command_is_an_interrupted_one(monkeypatch):
    def run(*call):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit, match='interrupted; the same command'):
        start(monkeypatch, run=run)


def test_the_command_is_what_a_reader_types(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['bench_x.py'])
    assert command_line.command('bench-x') == 'make bench-x'
    monkeypatch.setattr(sys, 'argv', ['bench_x.py', '--smoke'])
    assert command_line.command('bench-x') == 'python tools/bench_x.py --smoke'


def test_an_unknown_option_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        start(monkeypatch, '--smok', '--fast')

    assert 'unrecognized arguments: --fast' in capsys.readouterr().err
