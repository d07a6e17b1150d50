"""The tested stacks, and the one that an environment is nearest to."""
from collections import namedtuple

from requirement_files import python_range, read, release, satisfies

from .facts import PACKAGES

NAMES = ('modern', 'classic')

# python: lowest and highest (major, minor) it is tested on. packages: {name:
# specifier}. newest: highest Python of all stacks.
Stack = namedtuple('Stack', 'name python packages newest')


def read_stacks(requirements):
    """Read the stacks from the folder of the requirement files."""
    paths = [requirements / (name + '.txt') for name in NAMES]
    newest = max(python_range(path)[1] for path in paths)
    stacks = []
    for path in paths:
        packages = read(path)
        stacks.append(Stack(path.stem, python_range(path), {
            package: packages[package] for package in PACKAGES
            if package in packages}, newest))
    return stacks


def pin(stack, name):
    """Write a package as pip takes it, quoted where a shell needs it."""
    text = name + stack.packages[name]
    return text if '==' in text else '"{}"'.format(text)


def installed(facts, package):
    """Return the name and version it is installed as, or two None."""
    for name in PACKAGES[package]:
        if name in facts.versions:
            return name, facts.versions[name]
    return None, None


def fits(facts, stack, package):
    """Whether a package is installed as a stack has it."""
    _, version = installed(facts, package)
    return version is not None and satisfies(version,
                                             stack.packages[package])


def nearest(facts, stacks):
    """Return the stack that has most in common with what is installed.

    The stack decides the fixes, so that torch, the hardest to exchange,
    counts first.
    """

    def distance(stack):
        pinned = stack.packages['torch'].lstrip('=')
        there = facts.versions.get('torch', pinned)
        return (abs(_minor(there) - _minor(pinned)),
                -sum(fits(facts, stack, p) for p in stack.packages))

    return min(stacks, key=distance)


def _minor(version):
    """Count minor releases, a hundred to a major one."""
    major, minor = (release(version) + [0])[:2]
    return 100 * major + minor


def table(facts, stacks):
    """Write what is installed beside the stacks, as lines."""
    rows = [['', 'installed'] + [stack.name for stack in stacks],
            ['python', dotted(facts.python)] + [
                '{} to {}'.format(*map(dotted, stack.python))
                for stack in stacks]]
    for package in PACKAGES:
        name, version = installed(facts, package)
        shown = version or (
            'unknown' if package in facts.broken else '-')
        if name not in (None, package):
            shown += ' ({})'.format(name)
        rows.append([package, shown] + [
            stack.packages.get(package, '').replace('==', '')
            for stack in stacks])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.ljust(width) for cell, width in zip(
        row, widths)).rstrip() for row in rows]


def summary(facts, stack):
    """Say how near the nearest stack is."""
    different = [p for p in stack.packages if not fits(facts, stack, p)]
    if not stack.python[0] <= facts.python <= stack.python[1]:
        different.insert(0, 'python')
    if not different:
        return 'this is the tested stack "{}"'.format(stack.name)
    return 'nearest tested stack: "{}"; different here: {}'.format(
        stack.name, ', '.join(different))


def dotted(version):
    """Write a version tuple as text."""
    return '.'.join(str(part) for part in version)
