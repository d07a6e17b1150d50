"""What is installed, and whether it imports."""
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import namedtuple

# One row of the table each; the alternatives that pip knows it by.
PACKAGES = {
    'torch': ('torch', ),
    'torchvision': ('torchvision', ),
    'mmengine': ('mmengine', ),
    'mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmdet': ('mmdet', ),
    'mmpretrain': ('mmpretrain', ),
    'numpy': ('numpy', ),
    'opencv-python': ('opencv-python', 'opencv-python-headless',
                      'opencv-contrib-python',
                      'opencv-contrib-python-headless'),
    'setuptools': ('setuptools', ),
    'pycocotools': ('pycocotools', ),
    'timm': ('timm', ),
}

# A failing import may kill the process: one line as each has been tried.
_PROBE = """
import importlib, json, sys
def say(**answer):
    print('doctor:' + json.dumps(answer), flush=True)
for name in sys.argv[1:]:
    say(trying=name)
    error = None
    try:
        importlib.import_module(name)
    except BaseException as caught:
        error = '{}: {}'.format(type(caught).__name__, caught)
    say(name=name, error=error)
    if name == 'torch' and error is None:
        import torch
        say(cuda=torch.version.cuda, gpu=torch.cuda.is_available())
"""
_IMPORTS = ('numpy', 'torch', 'torchvision', 'cv2', 'mmengine', 'mmcv.ops')

# python: (major, minor). command: how a shell starts it. versions:
# {distribution: version}. broken: {package: distribution} of those that are
# there without a version. errors: {module: its import error}, for those that
# failed. cuda: the CUDA that torch is built for, None for the CPU. gpu:
# whether torch sees one. driver: whether the machine has NVIDIA's.
Facts = namedtuple(
    'Facts', 'python command versions broken errors cuda gpu driver')


def gather():
    """Return the :data:`Facts` of the Python that runs this."""
    versions, broken = installed_versions()
    modules = [name for name in _IMPORTS
               if name == 'cv2' or name.split('.')[0] in versions
               or name == 'mmcv.ops' and 'mmcv-full' in versions]
    errors, cuda, gpu = try_imports(modules)
    return Facts(
        tuple(sys.version_info[:2]), python_command(sys.executable), versions,
        broken, errors, cuda, gpu, shutil.which('nvidia-smi') is not None)


def python_command(executable):
    """Write a Python for a shell: its path, or less if PATH finds it."""
    for name in ('python', 'python3'):
        found = shutil.which(name)
        # An environment's own is a link to one that others share.
        if found and os.path.dirname(os.path.abspath(
                found)) == os.path.dirname(
                    executable) and os.path.samefile(found, executable):
            return name
    return shlex.quote(executable)


def installed_versions():
    """Return the packages of the table that are there.

    Returns:
        ``{distribution: version}``, and ``{package: distribution}`` of those
        that have no version: an interrupted pip leaves an empty folder.
    """
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7 and older
        return {}, {}
    versions, broken = {}, {}
    for package, names in PACKAGES.items():
        found = {name: [_version(each) for each in metadata.distributions(
            name=name)] for name in names}
        whole = {name: version for name, each in found.items()
                 for version in filter(None, reversed(each))}
        versions.update(whole)
        if not whole:
            broken.update((package, name) for name in names if found[name])
    return versions, broken


def _version(distribution):
    """Return the version of a distribution, or None."""
    try:
        version = distribution.version
    except (KeyError, OSError, ValueError):
        return None
    return version if version and version[0].isdigit() else None


def try_imports(modules, timeout=300):
    """Import modules in a process of its own.

    Returns:
        ``{module: error}`` of those that failed, the CUDA version that torch
        is built for or None, and whether torch sees a GPU.
    """
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', _PROBE] + list(modules),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    tried, done, cuda, gpu = [], {}, None, False
    for line in output.decode(errors='replace').splitlines():
        # A module may print, too, when it is imported.
        if not line.startswith('doctor:'):
            continue
        answer = json.loads(line[len('doctor:'):])
        if 'trying' in answer:
            tried.append(answer['trying'])
        elif 'name' in answer:
            done[answer['name']] = answer['error']
        else:
            cuda, gpu = answer['cuda'], answer['gpu']
    errors = {name: error for name, error in done.items() if error}
    errors.update({name: 'the import ended the process or did not end'
                   for name in tried if name not in done})
    return errors, cuda, gpu
