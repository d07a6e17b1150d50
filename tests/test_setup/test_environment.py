"""The set-up of .venv from end to end, with commands that pretend."""
import os
import shutil
import signal
import time

import pytest
import setup_env
from host_checks import SetupError

from tests.test_setup.pretend import write_command


def test_a_fresh_machine_is_set_up_once(checkout):
    status, out, err = checkout.run()

    assert (status, err) == (0, '')
    assert out.splitlines()[-1] == f'{checkout.folder}/.venv is ready'
    assert checkout.calls == [
        'venv', 'install -c modern.txt -r build.txt torch torchvision',
        'build', 'install --force-reinstall --no-deps mmcv-2.1.0-cp311.whl',
        'install -c modern.txt -r tests.txt -r lint.txt',
        'install --no-deps --no-build-isolation -e project', 'import'
    ]

    before = checkout.calls
    start = time.monotonic()
    assert checkout.run() == (0, '', '')
    assert time.monotonic() - start < 3
    assert checkout.calls == before


@pytest.mark.parametrize('file', ['requirements/lint.txt', 'setup.py'])
def test_a_change_sets_up_again_with_the_cached_wheel(checkout, file):
    checkout.run()
    with open(checkout.folder / file, 'a') as text:
        text.write('# changed\n')

    assert checkout.run()[0] == 0
    assert checkout.calls.count('import') == 2
    assert checkout.calls.count('venv') == checkout.calls.count('build') == 1


def test_a_second_checkout_takes_the_wheel_of_the_first(make_checkout):
    first, second = make_checkout('one'), make_checkout('two')
    first.run()
    (second.bin / 'c++').unlink()

    assert second.run()[0] == 0
    assert 'build' not in second.calls


def test_two_set_ups_at_a_time_build_once(make_checkout):
    checkouts = [make_checkout('one'), make_checkout('two')]
    processes = [each.start() for each in checkouts]
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sum(each.calls.count('build') for each in checkouts) == 1
    assert sum('waiting for the build of mmcv' in out for out in outputs) == 1


def test_another_build_flag_is_another_wheel(make_checkout):
    first, second = make_checkout('one'), make_checkout('two')
    first.run()

    assert second.run(CFLAGS='-O3')[0] == 0
    assert 'build' in second.calls


def test_no_compiler_stops_before_anything_is_made(checkout):
    (checkout.bin / 'c++').unlink()
    status, out, err = checkout.run()

    assert (status, out) == (1, '')
    assert err == (
        'set-up stopped: mmcv has to be compiled and there is no C++ compiler '
        '(c++ or g++); install one (on Debian and Ubuntu: build-essential) or '
        'set CXX.\n')
    assert not (checkout.folder / '.venv').exists()


def test_a_failed_build_names_its_log_and_leaves_nothing(checkout):
    status, _, err = checkout.run(FAKE_BUILD='fail')
    log = checkout.cache / 'mmdeepkd' / 'mmcv.log'
    lines = err.splitlines()

    assert status == 1
    assert '  | nms.cpp:1: fatal error: no such thing' in lines
    assert lines[-1].startswith('set-up stopped: building mmcv 2.1.0 failed')
    assert str(log) in lines[-1] and 'fatal error' in log.read_text()
    assert sorted(path.name for path in log.parent.iterdir()) == [
        'locks', 'mmcv.log'
    ]

    assert checkout.run()[0] == 0


def test_a_build_without_ops_is_not_cached(checkout):
    status, _, err = checkout.run(FAKE_BUILD='no ops')

    assert status == 1
    assert 'mmcv was built without its compiled operators' in err
    assert not list(checkout.cache.rglob('*.whl'))


def test_a_gpu_without_nvcc_is_said(checkout):
    status, _, err = checkout.run(FAKE_TORCH='{"gpu": true}')

    assert status == 1
    assert 'no nvcc; install the CUDA 13.0 toolkit' in err
    assert checkout.run(
        FAKE_TORCH='{"gpu": true, "toolkit": "/usr/local/cuda"}')[0] == 0


def test_a_stopped_set_up_leaves_no_compiler_running(checkout):
    process = checkout.start(FAKE_BUILD='hang')
    while not checkout.calls or not checkout.calls[-1].isdigit():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert 'set-up stopped: interrupted' in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(checkout.calls[-1]), 0)


def test_no_disk_space_stops_before_anything_is_made(checkout, monkeypatch):
    usage = shutil.disk_usage('/')
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda _: usage._replace(free=2**30))
    for name, value in checkout.env.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SetupError, match=(
            r'1\.0 GB free and set-up needs \d+ GB there; free some, or point '
            'TMPDIR and XDG_CACHE_HOME to another disk')):
        setup_env.set_up('modern', checkout.folder)
    assert checkout.calls == []


def test_an_unsupported_venv_is_not_overwritten(checkout):
    checkout.run()
    (checkout.folder / '.venv' / setup_env.STAMP).unlink()
    status, _, err = checkout.run(FAKE_VERSION='3.13')

    assert status == 1
    assert 'has Python 3.13' in err and 'delete it and run this again' in err


def test_an_unknown_stack_is_said(checkout):
    status, _, err = checkout.run('--stack', 'antique')

    assert status == 1
    assert "there is no stack 'antique'" in err


def test_a_cache_that_cannot_be_written_is_said(checkout):
    checkout.cache.write_text('a file where a folder should be')
    status, _, err = checkout.run()

    assert status == 1
    assert err.startswith('set-up stopped: ') and str(checkout.cache) in err
    assert 'Traceback' not in err


@pytest.mark.parametrize('python', [None, 'exit 1'])
def test_no_usable_python_is_said(checkout, python):
    (checkout.bin / 'python3').unlink()
    if python:
        write_command(checkout.bin / 'python3', python)
    status, _, err = checkout.run()

    assert status == 1
    assert err.startswith('set-up stopped: ') and "'python3'" in err
    assert err.endswith('or set PYTHON=/path/to/python.\n')
