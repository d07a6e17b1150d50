"""Aligned lines of a label and a text."""
from typing import Sequence, Tuple

Row = Tuple[str, str]


def lay_out(title: str, rows: Sequence[Row]) -> str:
    """Return a block with the texts in one column.

    Args:
        title: First line.
        rows: Labels and texts; a text of several lines stays in its column.
    """
    width = max(len(label) for label, _ in rows) + 2
    lines = [
        f'{label:{width}}{text}'.rstrip().replace('\n', '\n' + ' ' * width)
        for label, text in rows
    ]
    return '\n'.join([title, '=' * len(title), *lines])


def in_columns(table: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the lines of a table, its columns aligned.

    Args:
        table: Rows of equal length.
    """
    widths = [max(map(len, column)) for column in zip(*table)]
    return [
        '  '.join(f'{cell:{w}}' for cell, w in zip(row, widths)).rstrip()
        for row in table
    ]


def number(value: float) -> str:
    """Return a number without the noise of its last binary digits.

    Args:
        value: The number.
    """
    return f'{value:.8g}'
