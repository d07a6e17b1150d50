"""The traps of the OpenMMLab packages."""
from requirement_files import release, satisfies

from .base_traps import numpy_version, setuptools_version
from .findings import Finding, build_mmcv, install, short, wrong
from .stacks import installed

_OUR_MMCV = '>=2.0,<2.2'


def mmengine_version(facts, stack):
    """MMEngine 0.10 is what the hooks and loaders are written for."""
    version = facts.versions.get('mmengine')
    if version and satisfies(version, '>=0.10,<1'):
        return None
    return wrong(
        'mmengine {} is not a 0.10'.format(version) if version
        else 'mmengine is not installed', install(facts, stack, 'mmengine'))


def mmengine_import(facts, stack):
    """It is there, but not whole, or a package that it needs is not."""
    if 'mmengine' not in facts.errors or mmengine_version(
            facts, stack) or _ground_is_broken(facts, stack):
        return None
    return wrong(
        'mmengine does not import: ' + short(facts.errors['mmengine']),
        '{} && {}'.format(
            install(facts, stack, 'mmengine', '--force-reinstall --no-deps '),
            install(facts, stack, 'mmengine')))


def mmcv_version(facts, stack):
    """mmdet 3.3 takes mmcv 2.0 and 2.1, with ops, and no other."""
    name, version = installed(facts, 'mmcv')
    if name is None:
        return wrong('mmcv is not installed', build_mmcv(facts, stack))
    if satisfies(version, _OUR_MMCV):
        return None
    mmdet = facts.versions.get('mmdet')
    return wrong(
        '{} {} is too {}: {} needs mmcv{}'.format(
            name, version, 'new' if release(version) >= [2, 2] else 'old',
            'mmdet ' + mmdet if mmdet else 'mmdeepkd', _OUR_MMCV),
        build_mmcv(facts, stack, name))


def mmcv_ops(facts, stack):
    """mmcv was installed without ops, or built for another torch.

    mmpretrain does not use them.
    """
    name, version = installed(facts, 'mmcv')
    error = facts.errors.get('mmcv.ops')
    if mmcv_version(facts, stack):
        return None
    if name != 'mmcv-lite' and (
            error is None or 'mmengine' in facts.errors
            or mmengine_version(facts, stack)
            or _ground_is_broken(facts, stack)):
        return None
    if name == 'mmcv-lite' or "'mmcv._ext'" in error or "'mmcv.ops'" in error:
        message = '{} {} has no compiled operators'.format(name, version)
        if 'mmpretrain' in facts.versions and 'mmdet' not in facts.versions:
            return Finding(message + ', which detection needs',
                           build_mmcv(facts, stack, name), False)
    elif 'undefined symbol' in error or '.so' in error:
        message = '{} {} was built for another torch than {}: {}'.format(
            name, version, facts.versions.get('torch'), short(error))
    else:
        message = 'mmcv.ops does not import: ' + short(error)
    return wrong(message, build_mmcv(facts, stack, name))


def mmdet_version(facts, stack):
    """Optional: for detection."""
    return _optional(facts, stack, 'mmdet', '>=3.3,<4', 'detection')


def mmpretrain_version(facts, stack):
    """Optional: for classification."""
    return _optional(facts, stack, 'mmpretrain', '>=1.0,<2', 'classification')


def _ground_is_broken(facts, stack):
    """Whether something fails that mmengine and mmcv import."""
    return bool('torch' not in facts.versions
                or {'torch', 'numpy', 'cv2'} & set(facts.errors)
                or setuptools_version(facts, stack)
                or numpy_version(facts, stack))


def _optional(facts, stack, name, specifier, purpose):
    version = facts.versions.get(name)
    command = install(facts, stack, name)
    if version is None:
        return Finding('{} is not installed, which {} needs'.format(
            name, purpose), command, False)
    if satisfies(version, specifier):
        return None
    return wrong('{} {} is not {}'.format(name, version, specifier), command)
