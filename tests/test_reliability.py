"""Every row of the fault table names a test that exists."""
import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8')
# | number | fault | what happens | `tests/file.py::test` |
# The complaints that must be answered, by their numbers on the page.
COMPLAINTS = {*range(1, 9), *range(13, 22), 23, 25, 27, *range(29, 32), 37,
              41, 44}
ROWS = re.findall(r'^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$', TEXT,
                  re.MULTILINE)


def defined_tests(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)}


def test_the_rows_are_numbered():
    assert [int(row[0]) for row in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 30


def test_the_tests_of_the_table_exist():
    named = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', TEXT)
    missing = [
        f'{file}::{test}' for file, test in named
        if not (ROOT / file).is_file()
        or test not in defined_tests(ROOT / file)
    ]

    assert missing == []
    assert all('`tests/' in row[3] for row in ROWS)


def test_every_complaint_has_a_row():
    answered = {int(number) for row in ROWS
                for numbers in re.findall(r' \[([\d, ]+)\]$', row[1])
                for number in numbers.split(', ')}

    assert COMPLAINTS - answered == set()


def test_every_number_is_explained():
    page = TEXT[TEXT.index('## What users report'):]
    explained = {int(n) for n in re.findall(r'^(\d+) ', page, re.MULTILINE)}
    used = {int(n) for row in ROWS
            for numbers in re.findall(r' \[([\d, ]+)\]$', row[1])
            for n in numbers.split(', ')}

    assert used == explained
