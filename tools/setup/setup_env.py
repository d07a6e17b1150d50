"""Set up the environment that ``make`` runs in; see tools/setup_env.sh.

Like its neighbours this file keeps to Python 3.6 syntax and the standard
library, so that an old Python gets a sentence instead of a traceback.
"""
import argparse
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

from chromium import check_chromium, provide_chromium
from host_checks import (
    SetupError,
    check_build_tools,
    check_disk,
    dotted,
    find_python,
    probe,
)
from logged_run import run_logged
from mmcv_wheel import any_cached_wheel, cache_folder, locked, provide_wheel
from own_python import check_own_python
from requirement_files import pins, python_range

ROOT = Path(__file__).resolve().parents[2]
STAMP = 'mmdeepkd-stamp'
IMPORTS = 'import torchvision, mmcv.ops, mmdet, mmpretrain, mmdeepkd'


def fingerprint(stack, root=ROOT):
    """Hash everything that decides what the environment holds.

    The checkout's path counts: the editable install points to it.
    """
    digest = hashlib.sha256('{}\n{}\n'.format(stack, root).encode())
    files = [root / 'setup.py', *root.glob('requirements/*.txt'),
             *root.glob('tools/setup/*.py')]
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready(venv, wanted):
    """Tell whether ``venv`` was set up from exactly these files."""
    stamp = venv / STAMP
    return (stamp.is_file() and stamp.read_text() == wanted
            and (venv / 'bin' / 'python').exists())


def choose_base(venv, supported):
    """Return the Python of ``venv``, or one to make it with."""
    found = probe(str(venv / 'bin' / 'python'))
    if found is None or not found['pip']:
        return find_python(supported)
    if not supported[0] <= tuple(found['version']) <= supported[1]:
        raise SetupError('{} has Python {}, which these packages do not '
                         'support; delete it and run this again.'.format(
                             venv, dotted(found['version'])))
    return found


def create_venv(venv, base):
    """Return the Python of ``venv``, making it from ``base`` if need be."""
    python = str(venv / 'bin' / 'python')
    if base['executable'] != python:
        print('making {} with {}'.format(venv, base['executable']), flush=True)
        code = subprocess.call(
            [base['executable'], '-m', 'venv', '--clear', str(venv)])
        if code != 0:
            raise SetupError('{} could not make {}; the reason is above.'
                             .format(base['executable'], venv))
    return python


def install(python, stack_file, log, cache):
    """Install the pinned packages, mmcv's wheel and this checkout."""
    requirements = stack_file.parent
    pip = [python, '-m', 'pip', 'install', '--disable-pip-version-check']
    pinned = pip + ['-c', str(stack_file)]
    run_logged('installing torch', pinned + [
        '-r', str(requirements / 'build.txt'), 'torch', 'torchvision'], log)
    wheel = provide_wheel(python, pins(stack_file)['mmcv'], cache)
    # Forced: an mmcv of this version that was built for another torch may be
    # there already.
    run_logged('installing mmcv', pip + [
        '--force-reinstall', '--no-deps', str(wheel)], log)
    run_logged('installing the OpenMMLab packages', pinned + [
        '-r', str(requirements / 'tests.txt'),
        '-r', str(requirements / 'lint.txt')], log)
    run_logged('installing mmdeepkd', pip + [
        '--no-deps', '--no-build-isolation', '-e',
        str(requirements.parent)], log)
    run_logged('importing it all', [python, '-c', IMPORTS], log,
               hint='if the cached mmcv is to blame, delete {}'.format(wheel))


def set_up(stack, root=ROOT):
    """Bring the stack's virtual environment up to date; return its folder."""
    stack_file = root / 'requirements' / (stack + '.txt')
    if not stack_file.is_file():
        raise SetupError('there is no stack {!r}; choose one that has a file '
                         'requirements/<stack>.txt.'.format(stack))
    venv = root / ('.venv' if stack == 'modern' else '.venv-' + stack)
    wanted = fingerprint(stack, root)
    if is_ready(venv, wanted):
        return venv
    base = choose_base(venv, python_range(stack_file))
    cache = cache_folder()
    check_disk(venv, cache)
    if not any_cached_wheel(cache, pins(stack_file)):
        check_build_tools(base)
    name = hashlib.sha256(str(venv).encode()).hexdigest()[:16]
    with locked(cache / 'locks' / name, 'the set-up of ' + str(venv)):
        if is_ready(venv, wanted):
            return venv
        # Anew: another process may have made it while this one waited.
        python = create_venv(venv, choose_base(venv, python_range(stack_file)))
        stamp = venv / STAMP
        if stamp.exists():
            stamp.unlink()
        install(python, stack_file, venv / 'setup.log', cache)
        stamp.write_text(wanted)
    print('{} is ready'.format(venv), flush=True)
    return venv


def prepare(own, stack, need):
    """Check the Python that runs this, or set one up; then the browser."""
    if own:
        check_own_python(ROOT / 'requirements', need)
        if need == 'tests':
            check_chromium(sys.executable)
        return
    venv = set_up(stack)
    if need == 'tests':
        provide_chromium(str(venv / 'bin' / 'python'), venv / 'setup.log',
                         cache_folder())


def main():
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--stack', default='modern',
                        help='a file requirements/<stack>.txt')
    parser.add_argument('--own', action='store_true',
                        help='only check the Python that runs this')
    parser.add_argument('need', nargs='?', default='tests',
                        choices=['runtime', 'bench', 'both', 'tests', 'lint'],
                        help='what an own Python must offer; the tests also '
                        'need a Chromium')
    args = parser.parse_args()
    # Ends like Ctrl-C, so that no compiler is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare(args.own, args.stack, args.need)
    except (SetupError, OSError) as error:
        print('set-up stopped: {}'.format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('set-up stopped: interrupted; the next call goes on from here.',
              file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
