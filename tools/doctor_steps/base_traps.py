"""The traps of the packages that torch and mmcv build on."""
from requirement_files import release

from .findings import build_mmcv, install, pip, short, wrong
from .stacks import installed, pin

# The first torch that is built for numpy 2.
_NUMPY_2 = [2, 3]


def broken_packages(facts, stack):
    """Return a finding for each package that an interrupted pip left behind.

    What it left may not be uninstalled, only written over.
    """
    findings = []
    for package, name in facts.broken.items():
        if package == 'mmcv':
            command = build_mmcv(facts, stack, option='--ignore-installed')
        else:
            command = pip(
                facts, 'install --ignore-installed --no-deps '
                + pin(stack, package).replace(package, name))
        findings.append(wrong(
            '{} is installed in part, without a version, as an interrupted '
            'pip leaves it'.format(name), command))
    return findings


def setuptools_version(facts, stack):
    """setuptools 81 and newer have no pkg_resources; Python 3.12 has none."""
    version = facts.versions.get('setuptools')
    if version and release(version) < [81]:
        return None
    return wrong(
        '{}, and mmcv and mmengine import its pkg_resources, which releases '
        'before 81 have'.format('setuptools {} is too new'.format(version)
                                if version else 'setuptools is missing'),
        pip(facts, 'install "setuptools<81"'))


def numpy_version(facts, stack):
    """torch before 2.3 is built for numpy 1; opencv 4.12 asks for numpy 2."""
    torch, numpy = (facts.versions.get(n) for n in ('torch', 'numpy'))
    if numpy is None:
        return wrong('numpy is not installed', install(facts, stack, 'numpy'))
    if torch is None or release(torch) >= _NUMPY_2:
        return None
    name, opencv = installed(facts, 'opencv-python')
    new_opencv = opencv is not None and release(opencv) >= [4, 12]
    if release(numpy) < [2] and not new_opencv:
        return None
    reason = 'torch {} is built for numpy 1: '.format(torch)
    if not new_opencv:
        return wrong(reason + 'numpy {} is too new'.format(numpy),
                      pip(facts, 'install "numpy<2"'))
    return wrong(
        reason + '{} {} is too new, it asks for numpy 2'.format(name, opencv),
        pip(facts, 'install "{}<4.12" "numpy<2"'.format(name)))


def numpy_import(facts, stack):
    """It is there, but its libraries are not."""
    if 'numpy' not in facts.errors or numpy_version(facts, stack):
        return None
    return wrong('numpy does not import: ' + short(facts.errors['numpy']),
                  install(facts, stack, 'numpy',
                          '--force-reinstall --no-deps '))


def opencv_import(facts, stack):
    """The full opencv needs libraries of a desktop."""
    error = facts.errors.get('cv2')
    name, version = installed(facts, 'opencv-python')
    if error is None:
        return None
    if name is None:
        return wrong('opencv-python is not installed',
                      install(facts, stack, 'opencv-python'))
    if 'libGL' in error or 'libgthread' in error:
        headless = pin(stack, 'opencv-python').replace(
            'opencv-python', 'opencv-python-headless')
        return wrong(
            '{} {} needs the libraries of a desktop: {}'.format(
                name, version, short(error)),
            '{} && {}'.format(pip(facts, 'uninstall -y ' + name),
                              pip(facts, 'install ' + headless)))
    if 'numpy' in facts.errors or numpy_version(facts, stack):
        return None
    return wrong('cv2 does not import: ' + short(error),
                  install(facts, stack, 'opencv-python',
                          '--force-reinstall '))
