"""The traps of torch, and of what it needs from the machine."""
from requirement_files import release

from .findings import Finding, install_torch, pip, short, wrong
from .stacks import dotted, pin

_OLDEST_PYTHON = (3, 8)
# torch 2.1 has no release for a newer Python.
_TORCH_2_1_PYTHON = (3, 11)


def python_version(facts, stack):
    """Neither too old for the code nor too new for mmcv or torch."""
    highest, reason = stack.newest, 'mmcv 2.1 does not build on it'
    torch = facts.versions.get('torch')
    if torch is not None and _of_2_1(torch):
        highest, reason = _TORCH_2_1_PYTHON, (
            'torch {} is not made for it'.format(torch))
    if _OLDEST_PYTHON <= facts.python <= highest:
        return None
    if facts.python < _OLDEST_PYTHON:
        reason = 'it is too old for mmdeepkd'
    return wrong(
        'Python {} is not between {} and {}: {}'.format(
            *map(dotted, (facts.python, _OLDEST_PYTHON, highest)), reason),
        # It finds a Python that fits and makes .venv with it.
        'make env')


def torch_missing(facts, stack):
    """Without torch nothing runs."""
    missing = [name for name in ('torch', 'torchvision')
               if name not in facts.versions]
    if not missing:
        return None
    lowest, highest = (_OLDEST_PYTHON, _TORCH_2_1_PYTHON) if _of_2_1(
        stack.packages['torch'].lstrip('=')) else stack.python
    return wrong(
        '{} not installed'.format(' and '.join(missing) + (
            ' are' if missing[1:] else ' is')),
        # Another Python may have no release of the pinned torch.
        install_torch(facts, stack) if 'torch' not in missing
        or lowest <= facts.python <= highest else 'make env')


def torch_too_old(facts, stack):
    """The code is written for torch 2.1 and newer."""
    version = facts.versions.get('torch')
    if version is None or release(version) >= [2, 1]:
        return None
    return wrong('torch {} is older than 2.1'.format(version),
                  pip(facts, 'install {} {}'.format(
                      pin(stack, 'torch'), pin(stack, 'torchvision'))))


def torch_pair(facts, stack):
    """torchvision 0.(N + 15) is made for torch 2.N."""
    torch, vision = _pair(facts)
    if torch is None or release(torch) < [2, 1]:
        return None
    wanted = [0, (release(torch) + [0])[1] + 15]
    if release(vision)[:2] == wanted:
        return None
    return wrong(
        'torchvision {} is not made for torch {}, which needs {}'.format(
            vision, torch, dotted(wanted)), install_torch(facts, stack))


def torch_builds(facts, stack):
    """One of the pair is built for the CPU, or for another CUDA."""
    torch, vision = _pair(facts)
    if torch is None or torch_pair(facts, stack):
        return None
    builds = [version.partition('+')[2] for version in (torch, vision)]
    broken = facts.errors.get('torchvision')
    if 'torch' in facts.errors or 'numpy' in facts.errors or not (
            broken or all(builds) and builds[0] != builds[1]):
        return None
    cuda = 'CUDA ' + facts.cuda if facts.cuda else 'the CPU'
    return wrong(
        'torch {} (for {}) and torchvision {} are not of one build{}'.format(
            torch, cuda, vision, ': ' + short(broken) if broken else ''),
        install_torch(facts, stack, '--force-reinstall '))


def torch_import(facts, stack):
    """It is there, but its libraries are not."""
    if 'torch' not in facts.errors:
        return None
    return wrong(
        'torch does not import: ' + short(facts.errors['torch']),
        install_torch(facts, stack, '--force-reinstall '))


def gpu(facts, stack):
    """torch and the machine do not agree on a GPU; the CPU works."""
    if facts.gpu or 'torch' in facts.errors or 'torch' not in facts.versions:
        return None
    if facts.cuda and not facts.driver:
        return Finding('torch is built for CUDA {} and finds no NVIDIA '
                       'driver, so that it runs on the CPU'.format(facts.cuda),
                       '', False)
    if facts.cuda:
        return Finding(
            'torch is built for CUDA {} and sees no GPU although there is a '
            'driver, perhaps too old a one or CUDA_VISIBLE_DEVICES'.format(
                facts.cuda), 'nvidia-smi', False)
    if facts.driver:
        return Finding('there is an NVIDIA driver, but torch {} is built for '
                       'the CPU'.format(facts.versions['torch']),
                       install_torch(facts, stack, '--force-reinstall '),
                       False)
    return None


def _of_2_1(torch):
    """Whether a torch is 2.1 or older."""
    return release(torch) < [2, 2]


def _pair(facts):
    """Return the versions of torch and torchvision, or two None."""
    pair = [facts.versions.get(n) for n in ('torch', 'torchvision')]
    return pair if all(pair) else (None, None)
