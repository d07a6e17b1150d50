"""The page: one file, with everything in it."""
import base64
from pathlib import Path
from typing import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .layout import Section

_TEMPLATE = 'page.html.j2'


def page(title: str, date: str, command: str,
         sections: Sequence[Section]) -> str:
    """Return the page as HTML that needs no other file.

    Args:
        title: Of the page.
        date: When it was made.
        command: What made it.
        sections: In their order.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters['data_uri'] = _data_uri
    return environment.get_template(_TEMPLATE).render(
        title=title, date=date, command=command, sections=sections)


def _data_uri(png: bytes) -> str:
    return f'data:image/png;base64,{base64.b64encode(png).decode()}'
