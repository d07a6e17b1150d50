"""A finding, and the commands that more than one of them gives."""
from collections import namedtuple

from requirement_files import release

from .stacks import pin

# wrong: whether it must be fixed; what is not wrong is worth knowing.
Finding = namedtuple('Finding', 'message command wrong')


def wrong(message, command):
    """Return a finding that must be fixed."""
    return Finding(message, command, True)


def pip(facts, arguments):
    """Write a command for the pip of the Python that was looked at."""
    return '{} -m pip {}'.format(facts.command, arguments)


def install(facts, stack, name, options=''):
    """Write the command that installs a package as the stack has it."""
    return pip(facts, 'install {}{}'.format(options, pin(stack, name)))


def install_torch(facts, stack, options=''):
    """Write the command that installs a matching pair, keeping torch."""
    torch = facts.versions.get('torch')
    if torch is None or stack.packages['torch'] == '==' + torch.split('+')[0]:
        pair = '{} {}'.format(pin(stack, 'torch'), pin(stack, 'torchvision'))
    else:
        numbers = release(torch) + [0]
        pair = 'torch=={} "torchvision==0.{}.*"'.format(
            torch.split('+')[0], numbers[1] + 15)
    return pip(facts, 'install {}{}'.format(options, pair))


def build_mmcv(facts, stack, replaced=None, option='--force-reinstall'):
    """Write the command that compiles mmcv for the torch that is there."""
    first = '' if replaced in (None, 'mmcv') else pip(
        facts, 'uninstall -y {} && '.format(replaced))
    # The cache may hold one that was built without ops.
    return first + 'MMCV_WITH_OPS=1 ' + install(
        facts, stack, 'mmcv', option + ' --no-deps --no-build-isolation '
        '--no-cache-dir --no-binary mmcv ')


def short(error):
    """Cut an error to its first line."""
    return error.strip().splitlines()[0][:160]
