"""Files that the documentation points to exist."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md',
         *sorted(ROOT.glob('docs/**/*.md')),
         *sorted(ROOT.glob('configs/**/*.md'))]
LINK = re.compile(r'\]\((?!https?:|mailto:|#)([^)#\s]+)')
COMMAND_FILE = re.compile(r'\b(?:configs|tools|requirements)/[\w./-]+\.\w+')


@pytest.mark.parametrize('page', PAGES,
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page):
    text = page.read_text(encoding='utf-8')
    targets = [page.parent / link for link in LINK.findall(text)]
    targets += [ROOT / name for name in COMMAND_FILE.findall(text)]

    assert [str(target) for target in targets if not target.exists()] == []
