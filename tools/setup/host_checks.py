"""What the machine must offer before anything is downloaded."""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

GIB = 2**30
# Measured on Linux x86-64: the environment holds 5.4 GB (torch brings its
# CUDA libraries), pip unpacks up to 3 GB of downloads on the way.
VENV_GIB, DOWNLOAD_GIB, CACHE_GIB = 6, 3, 1

PROBE = """
import importlib.util as u, json, os, sys, sysconfig
print(json.dumps({
    'executable': sys.executable,
    'version': sys.version_info[:2],
    'pip': bool(u.find_spec('pip')),
    'venv': bool(u.find_spec('venv') and u.find_spec('ensurepip')),
    'headers': os.path.isfile(os.path.join(
        sysconfig.get_paths()['include'], 'Python.h'))}))
"""


class SetupError(Exception):
    """A reason to stop, said in one sentence that names the fix."""


def probe(python):
    """Ask an interpreter what it is; None when it does not run."""
    try:
        answer = subprocess.check_output([python, '-c', PROBE],
                                         stderr=subprocess.DEVNULL)
        return json.loads(answer.decode())
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def dotted(version):
    """Write a version tuple as text."""
    return '.'.join(str(part) for part in version)


def find_python(supported):
    """Find a Python whose version the stack was tested with.

    Args:
        supported: Lowest and highest ``(major, minor)``.

    Returns:
        What :func:`probe` says of it.
    """
    lowest, highest = supported
    minors = range(highest[1], lowest[1] - 1, -1)
    names = ['python3'] + ['python3.{}'.format(minor) for minor in minors]
    # pyenv's python3.10 on the path answers only for versions switched on.
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    for minor in minors:
        names += sorted(str(path) for path in pyenv.glob(
            'versions/3.{}.*/bin/python'.format(minor)))
    seen = []
    for name in names:
        found = probe(shutil.which(name) or name)
        if found is None:
            continue
        if lowest <= tuple(found['version']) <= highest:
            if not found['venv']:
                raise SetupError(
                    '{} cannot make a virtual environment; install its venv '
                    'package (on Debian and Ubuntu: python3-venv).'.format(
                        found['executable']))
            return found
        seen.append(dotted(found['version']))
    raise SetupError(
        'the packages need Python {} to {} and this machine has {}; install '
        'python{}, or set PYTHON=/path/to/python of an OpenMMLab environment.'
        .format(dotted(lowest), dotted(highest), ', '.join(seen) or 'none',
                dotted(highest)))


def check_build_tools(python):
    """Check that mmcv's C++ sources can be compiled for ``python``."""
    compiler = os.environ.get('CXX', '').split()[:1]
    if not any(shutil.which(name) for name in compiler or ['c++', 'g++']):
        raise SetupError(
            'mmcv has to be compiled and there is no C++ compiler {}; install '
            'one (on Debian and Ubuntu: build-essential) or set CXX.'.format(
                compiler[0] if compiler else '(c++ or g++)'))
    if not python['headers']:
        raise SetupError(
            'mmcv has to be compiled and {} has no header Python.h; install '
            'its development package (on Debian and Ubuntu: python3-dev).'
            .format(python['executable']))


def existing(path):
    """Return the deepest folder of ``path`` that exists."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def check_disk(venv, cache):
    """Check the free space, summed over what shares a disk."""
    torch_there = any(venv.glob('lib/python*/site-packages/torch/version.py'))
    needs = [(venv, 1 if torch_there else VENV_GIB),
             (Path(tempfile.gettempdir()), 1 if torch_there else DOWNLOAD_GIB),
             (cache, CACHE_GIB)]
    disks = {}
    for path, gib in needs:
        path = existing(path)
        disks.setdefault(path.stat().st_dev, []).append((path, gib))
    for parts in disks.values():
        need = sum(gib for _, gib in parts)
        folder = parts[0][0]
        free = shutil.disk_usage(str(folder)).free / GIB
        if free < need:
            raise SetupError(
                'the disk of {} has {:.1f} GB free and set-up needs {} GB '
                'there; free some, or point TMPDIR and XDG_CACHE_HOME to '
                'another disk.'.format(folder, free, need))
