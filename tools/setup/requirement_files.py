"""Read the requirement files and compare versions with them."""
import operator
import re

from host_checks import SetupError

LINE = re.compile(r'^([A-Za-z0-9][A-Za-z0-9._-]*)\s*([^;#]*)')
CLAUSE = re.compile(r'^(>=|<=|==|<|>)\s*([0-9][0-9A-Za-z.+!-]*)$')
COMPARE = {'>=': operator.ge, '<=': operator.le, '==': operator.eq,
           '<': operator.lt, '>': operator.gt}


def read(path):
    """Read a requirement file, with the files it includes.

    Returns:
        A dict of package name to specifier, such as ``'>=2.0,<2.2'``.
    """
    found = {}
    for line in path.read_text().splitlines():
        line = line.strip()
        if line.startswith('-r '):
            found.update(read(path.parent / line[3:].strip()))
        elif line and not line.startswith('#'):
            match = LINE.match(line)
            found[match.group(1)] = match.group(2).replace(' ', '')
    return found


def pins(path):
    """Read the packages that a stack fixes to one version."""
    return {name: specifier[2:] for name, specifier in read(path).items()
            if specifier.startswith('==')}


def python_range(path):
    """Read the lowest and highest Python of a stack's first line."""
    match = re.match(r'# python (\d+)\.(\d+) to (\d+)\.(\d+)\n',
                     path.read_text())
    if match is None:
        raise SetupError('{} must begin with a line such as "# python 3.10 to '
                         '3.12".'.format(path))
    numbers = [int(number) for number in match.groups()]
    return tuple(numbers[:2]), tuple(numbers[2:])


def release(version):
    """Return the numbers of a release, without trailing zeros.

    Local parts and suffixes are left out: 2.1.2+cu121 counts as 2.1.2.
    """
    match = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(part) for part in match.group().split('.')]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return numbers


def satisfies(version, specifier):
    """Tell whether a version is within a specifier."""
    for clause in filter(None, specifier.split(',')):
        sign, bound = CLAUSE.match(clause).groups()
        if not COMPARE[sign](release(version), release(bound)):
            return False
    return True
