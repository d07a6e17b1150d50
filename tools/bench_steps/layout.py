"""Markdown: paragraphs, lists and tables."""
from textwrap import fill
from typing import Optional, Sequence

from .statistic import Estimate


def words(text: str) -> str:
    """Return a paragraph, no word of it broken."""
    return fill(text, 79, break_long_words=False, break_on_hyphens=False)


def bullets(lines: Sequence[str]) -> str:
    """Return a list in Markdown, an item a line."""
    return '\n'.join(
        fill(f'- {line}', 79, subsequent_indent='  ', break_long_words=False,
             break_on_hyphens=False) for line in lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its first column to the left."""
    cells = [header, *rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    lines = [' | '.join(
        text.ljust(width) if i == 0 else text.rjust(width)
        for i, (text, width) in enumerate(zip(line, widths)))
        for line in cells]
    rule = ' | '.join('-' * width if i == 0 else '-' * (width - 1) + ':'
                      for i, width in enumerate(widths))
    return '\n'.join(f'| {line} |' for line in [lines[0], rule, *lines[1:]])


def difference(found: Optional[Estimate]) -> str:
    """Return a difference with its standard error; nothing of None."""
    if found is None:
        return ''
    return f'{found.mean:+.2f} ± {found.error:.2f}'
