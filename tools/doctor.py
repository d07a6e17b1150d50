"""Compare the environment with the tested ones, and say how to repair it.

    python tools/doctor.py

Needs no package, so that it runs where torch does not. Prints what is
installed beside the tested stacks (requirements/), then one line for each
thing that is wrong, with the command that fixes it. The exit status is 0 if
nothing is wrong. Like its steps this file keeps to the standard library and
to the syntax of Python 3.6.
"""
import argparse
import sys
from pathlib import Path

from doctor_steps.facts import gather
from doctor_steps.stacks import nearest, read_stacks, summary, table
from doctor_steps.traps import find

REQUIREMENTS = Path(__file__).resolve().parents[1] / 'requirements'


def report(facts, stacks):
    """Return the lines of the report and the number of wrong things."""
    stack = nearest(facts, stacks)
    lines = table(facts, stacks) + ['', summary(facts, stack)]
    findings = find(facts, stack)
    for finding in findings:
        line = '{}: {}'.format('wrong' if finding.wrong else 'note',
                               finding.message)
        if finding.command:
            line += '; {}: {}'.format('fix' if finding.wrong else 'see',
                                      finding.command)
        lines.append(line)
    wrong = sum(finding.wrong for finding in findings)
    lines.append('nothing is wrong' if not wrong else (
        '{} wrong: begin with the first, then run this again'.format(
            wrong)))
    return lines, wrong


def main():
    """Run the command line; return the exit status."""
    argparse.ArgumentParser(
        description=__doc__.splitlines()[0]).parse_args()
    lines, wrong = report(gather(), read_stacks(REQUIREMENTS))
    print('\n'.join(lines))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
