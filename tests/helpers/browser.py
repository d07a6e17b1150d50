"""Pages of ours in a real browser: headless Chromium, without a network."""
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Union

from playwright.sync_api import Page, sync_playwright

from tools.setup.find_browser import find_browser

#: Width and height of what people read on.
LAPTOP, PHONE = (1280, 800), (375, 812)

# What a page that needs no network is made of.
_OWN = ('file:', 'data:', 'blob:', 'about:')
# How far the page and its elements reach beyond the left and right edges; not
# those that scroll inside an element of their own.
_OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = e => e && e !== document.body && (
    ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX)
    || scrolls(e.parentElement));
  const over = [...document.body.querySelectorAll('*')]
    .filter(e => !scrolls(e.parentElement))
    .map(e => e.getBoundingClientRect())
    .map(box => Math.max(box.right - wide, -box.left));
  return Math.max(document.documentElement.scrollWidth - wide, 0, ...over);
}"""


class OpenPage:
    """A page that is open.

    Attributes:
        errors: What the console calls an error, and uncaught exceptions.
        failed: Addresses that could not be loaded.
        external: Addresses that are not in the page, nor in a local file.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: List[str] = []
        self.failed: List[str] = []
        self.external: List[str] = []
        page.on('console', self._said)
        page.on('pageerror', lambda error: self.errors.append(str(error)))
        page.on('request', self._asked)
        page.on('requestfailed',
                lambda request: self.failed.append(request.url))

    def evaluate(self, script: str) -> Any:
        """Evaluate JavaScript, an expression or a function."""
        return self.page.evaluate(script)

    def overflow(self) -> float:
        """Return by how many pixels the page reaches beyond the window."""
        return self.evaluate(_OVERFLOW)

    def screenshot(self, path: Union[str, Path], whole: bool = True) -> None:
        """Save a PNG of the whole page, or of what the window shows."""
        self.page.screenshot(path=str(path), full_page=whole)

    def _said(self, message: Any) -> None:
        if message.type == 'error':
            self.errors.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(_OWN):
            self.external.append(request.url)


@contextmanager
def open_page(file: Union[str, Path],
              window: Any = LAPTOP) -> Iterator[OpenPage]:
    """Open a local HTML file; yield it when everything in it is loaded.

    Args:
        file: Path, or a ``file:`` address.
        window: Width and height in pixels.

    Example:
        >>> with open_page('report.html', PHONE) as page:
        ...     assert page.errors == page.external == []
        ...     assert page.overflow() == 0
    """
    address = str(file)
    if not address.startswith('file:'):
        address = Path(file).resolve().as_uri()
    with sync_playwright() as playwright:
        # As root it must run without its sandbox: playwright's default.
        browser = playwright.chromium.launch(executable_path=find_browser())
        try:
            context = browser.new_context(
                viewport=dict(width=window[0], height=window[1]),
                offline=True)
            page = context.new_page()
            opened = OpenPage(page)
            page.goto(address, wait_until='load')
            yield opened
        finally:
            browser.close()
