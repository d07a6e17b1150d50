"""Build mmcv with its ops once per machine and keep the wheel.

The package index has no mmcv wheel, and the build takes minutes.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from host_checks import SetupError, check_build_tools, probe
from logged_run import run_logged

# -g0 saves two fifths of the compile time and 97 % of the binary. RoIAlign
# and NMS run equally fast at -O1, -O2 and -O3.
FLAGS = '-g0 -O1'
JOB_GIB = 2

TORCH_PROBE = """
import json, os, platform, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
print(json.dumps({
    'torch': torch.__version__, 'abi': 'cp%d%d' % sys.version_info[:2],
    'libc': ''.join(platform.libc_ver()) or platform.system(),
    'gpu': torch.cuda.is_available() or os.getenv('FORCE_CUDA') == '1',
    'cuda': torch.version.cuda, 'toolkit': CUDA_HOME}))
"""


def cache_folder():
    """Return the folder that outlives checkouts, made if need be."""
    base = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    folder = Path(base) / 'mmdeepkd'
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path, what):
    """Let one process at a time through; the system drops a dead one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(str(path), 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print('waiting for {}, which another process runs ...'.format(
                what), flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def any_cached_wheel(cache, pinned):
    """Tell whether some build of the pinned pair is cached."""
    return any(cache.glob('wheels/mmcv-{mmcv}_torch-{torch}*/*.whl'.format(
        **pinned)))


def build_environment():
    """Return the variables that decide what is built."""
    env = {'MMCV_WITH_OPS': '1',
           'CFLAGS': os.environ.get('CFLAGS', FLAGS)}
    for name in ('CXX', 'FORCE_CUDA', 'MMCV_CUDA_ARGS',
                 'TORCH_CUDA_ARCH_LIST'):
        if name in os.environ:
            env[name] = os.environ[name]
    return env


def wheel_folder(cache, version, found, env):
    """Name the cache folder of one build: everything that shapes it."""
    flags = hashlib.sha256(repr(sorted(env.items())).encode()).hexdigest()[:8]
    return cache / 'wheels' / '_'.join([
        'mmcv-' + version, 'torch-' + found['torch'], found['abi'],
        sysconfig.get_platform(), found['libc'],
        'cuda' + found['cuda'] if found['gpu'] else 'cpu', flags])


def jobs():
    """Count the compilers that cores and memory allow at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(
        os, 'sched_getaffinity') else os.cpu_count() or 1
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(cores, memory // (JOB_GIB * 2**30)))


def build(python, version, scratch, log, env):
    """Build one wheel in a scratch folder and return its path there."""
    env = dict(os.environ, MAX_JOBS=os.environ.get('MAX_JOBS', str(jobs())),
               TMPDIR=str(scratch), **env)
    print('mmcv has to be compiled: 5 to 15 minutes, once per machine')
    # pip's own cache may hold an mmcv that was built without ops.
    run_logged('building mmcv ' + version, [
        python, '-m', 'pip', 'wheel', '-v', '--disable-pip-version-check',
        '--no-deps', '--no-build-isolation', '--no-cache-dir', '--no-binary',
        'mmcv', '-w', str(scratch), 'mmcv==' + version], log, env,
        hint='on a machine with a GPU, CUDA_VISIBLE_DEVICES= in front of the '
        'command builds the CPU operators only')
    wheel = next(scratch.glob('mmcv-*.whl'))
    with zipfile.ZipFile(str(wheel)) as archive:
        names = archive.namelist()
    if not any(name.startswith('mmcv/_ext') for name in names):
        raise SetupError('mmcv was built without its compiled operators; '
                         'the reason is in {}.'.format(log))
    return wheel


def check_before_build(python, found):
    """Check the compilers that this build of mmcv needs."""
    check_build_tools(probe(python))
    if found['gpu'] and not found['toolkit']:
        raise SetupError(
            'mmcv has to be compiled for this GPU and there is no nvcc; '
            'install the CUDA {} toolkit, or put CUDA_VISIBLE_DEVICES= in '
            'front of the command to build the CPU operators only.'.format(
                found['cuda']))


def probe_torch(python):
    """Ask torch which wheel fits it."""
    process = subprocess.Popen([python, '-c', TORCH_PROBE],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answer, errors = process.communicate()
    if process.returncode != 0:
        raise SetupError('torch does not import in {}: {}.'.format(
            python, errors.decode().strip().splitlines()[-1]))
    return json.loads(answer.decode())


def provide_wheel(python, version, cache):
    """Return the wheel that fits ``python``'s torch, building it if new."""
    found = probe_torch(python)
    env = build_environment()
    folder = wheel_folder(cache, version, found, env)
    with locked(cache / 'locks' / 'mmcv', 'the build of mmcv'):
        if not any(folder.glob('*.whl')):
            check_before_build(python, found)
            for stale in cache.glob('build-*'):
                shutil.rmtree(str(stale))
            log = cache / 'mmcv.log'
            log.write_text('')
            with tempfile.TemporaryDirectory(
                    prefix='build-', dir=str(cache)) as scratch:
                wheel = build(python, version, Path(scratch), log, env)
                folder.mkdir(parents=True, exist_ok=True)
                os.replace(str(wheel), str(folder / wheel.name))
        return next(folder.glob('*.whl'))
