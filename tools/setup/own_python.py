"""Check an environment of the user's; nothing is written into it."""
import sys
from pathlib import Path

from host_checks import SetupError, dotted
from requirement_files import read, satisfies

OLDEST_PYTHON = (3, 8)


def installed_version(name):
    """Return a distribution's version, or None."""
    from importlib import metadata  # only Python 3.8 has it

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def has_compiled_ops():
    """Tell whether the installed mmcv brings its compiled operators."""
    from importlib import metadata

    return any(Path(file.name).match('_ext*')
               for file in metadata.files('mmcv') or [])


def missing_from(requirements):
    """List what this Python lacks, each with what it has instead."""
    lacking = []
    for name, specifier in requirements.items():
        version = installed_version(name)
        if version is None:
            lacking.append(name + specifier)
        elif not satisfies(version, specifier):
            lacking.append('{}{} (it has {})'.format(name, specifier, version))
        elif name == 'mmcv' and not has_compiled_ops():
            lacking.append('mmcv built with its ops (MMCV_WITH_OPS=1)')
    return lacking


def check_own_python(folder, need):
    """Check the running Python against ``requirements/<need>.txt``.

    Raises:
        SetupError: It is too old or lacks packages; all are named.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError('PYTHON={} is Python {}; mmdeepkd needs {} or newer.'
                         .format(sys.executable, dotted(sys.version_info[:2]),
                                 dotted(OLDEST_PYTHON)))
    requirements = read(folder / (need + '.txt'))
    lacking = missing_from(requirements)
    if lacking:
        raise SetupError(
            'PYTHON={} lacks {} (requirements/{}.txt); install them there, or '
            'run make without PYTHON to let it set up an environment of its '
            'own.'.format(sys.executable, ', '.join(lacking), need))
    shown = [name for name in ('torch', 'mmengine', 'mmcv', 'mmdet')
             if name in requirements]
    print('using {} as it is: Python {}, {}'.format(
        sys.executable, dotted(sys.version_info[:3]),
        ', '.join('{} {}'.format(name, installed_version(name))
                  for name in shown)), flush=True)
