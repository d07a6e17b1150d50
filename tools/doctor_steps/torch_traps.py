"""The traps of torch, and of what it needs from the machine."""
from requirement_files import release

from .findings import Finding, install_torch, short, wrong
from .stacks import dotted, pin


def python_version(facts, stack):
    """Neither too old for the code nor too new for mmcv."""
    lowest, highest = (3, 8), stack.python[1]
    if lowest <= facts.python <= highest:
        return None
    return wrong(
        'Python {} is not between {} and {}: {}'.format(
            *map(dotted, (facts.python, lowest, highest)),
            'mmcv 2.1 does not build on it' if facts.python > highest
            else 'it is too old for mmdeepkd'),
        # It finds a Python that fits and makes .venv with it.
        'make env')


def torch_missing(facts, stack):
    """Without torch nothing runs."""
    missing = [name for name in ('torch', 'torchvision')
               if name not in facts.versions]
    if not missing:
        return None
    tested = stack.python[0] <= facts.python <= stack.python[1]
    return wrong(
        '{} not installed'.format(' and '.join(missing) + (
            ' are' if missing[1:] else ' is')),
        # Another Python may have no release of the pinned torch.
        install_torch(facts, stack) if tested else 'make env')


def torch_too_old(facts, stack):
    """The code is written for torch 2.1 and newer."""
    version = facts.versions.get('torch')
    if version is None or release(version) >= [2, 1]:
        return None
    return wrong('torch {} is older than 2.1'.format(version),
                  'pip install {} {}'.format(
                      pin(stack, 'torch'), pin(stack, 'torchvision')))


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
    if 'torch' in facts.errors or not (
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


def _pair(facts):
    """Return the versions of torch and torchvision, or two None."""
    pair = [facts.versions.get(n) for n in ('torch', 'torchvision')]
    return pair if all(pair) else (None, None)
