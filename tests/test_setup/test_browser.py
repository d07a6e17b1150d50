"""tests/helpers/browser.py: what it tells of a page."""
import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import LAPTOP, PHONE, open_page

PAGE = '<!DOCTYPE html><html><head><title>a</title></head><body>{}</body>'


@pytest.fixture
def write_page(tmp_path):

    def write(body):
        path = tmp_path / 'page with a space.html'
        path.write_text(PAGE.format(body))
        return path

    return write


def test_a_sound_page_is_without_fault(write_page, tmp_path):
    path = write_page(
        '<p id="p">one</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw'
        '=">')
    with open_page(path.as_uri(), PHONE) as page:
        assert page.evaluate('document.getElementById("p").innerText') == 'one'
        assert page.errors == page.failed == page.external == []
        assert page.overflow() == 0
        assert page.evaluate('navigator.onLine') is False
        assert page.evaluate('[innerWidth, innerHeight]') == list(PHONE)
        page.screenshot(tmp_path / 'page.png')

    assert Image.open(tmp_path / 'page.png').size == PHONE


@pytest.mark.parametrize('script, said', [
    ('console.error("broken", 7)', 'broken 7'),
    ('undefinedName()', 'undefinedName is not defined')])
def test_an_error_on_the_console_is_told(write_page, script, said):
    with open_page(write_page(f'<script>{script}</script>')) as page:
        assert len(page.errors) == 1 and said in page.errors[0]


def test_what_is_not_in_the_page_is_told(write_page, tmp_path):
    image = 'http://127.0.0.1:9/image.png'
    with open_page(write_page(
            f'<img src="{image}"><img src="none.png">')) as page:
        assert page.external == [image]
        # In no order: they are fetched beside one another.
        assert sorted(page.failed) == sorted(
            [image, (tmp_path / 'none.png').as_uri()])


WIDE = '<div style="width: {}px">a</div>'
SCROLLS = f'<div style="overflow-x: auto">{WIDE}</div>'
CUT_OFF = f'<body style="overflow-x: hidden">{WIDE}'
LEFT = '<div style="margin-left: -10px; width: {}px; max-width: 50%">a</div>'


@pytest.mark.parametrize('body, window, over', [
    (WIDE, LAPTOP, 10), (WIDE, PHONE, 10), (SCROLLS, PHONE, 0),
    (CUT_OFF, PHONE, 10), (LEFT, PHONE, 10)],
    ids=['laptop', 'phone', 'scrolls', 'cut off', 'left'])
def test_what_is_too_wide_is_told(write_page, window, body, over):
    reset = '<style>* { margin: 0; }</style>'
    path = write_page(reset + body.format(window[0] + 10))
    with open_page(path, window) as page:
        assert page.overflow() == over


def test_the_whole_page_is_pictured(write_page, tmp_path):
    path = write_page('<style>* { margin: 0; }</style><div style="height: '
                      '2000px; background: red"></div>')
    with open_page(path) as page:
        page.screenshot(tmp_path / 'whole.png')
        page.screenshot(tmp_path / 'window.png', whole=False)

    whole = Image.open(tmp_path / 'whole.png').convert('RGB')
    assert whole.size == (LAPTOP[0], 2000)
    assert np.all(np.array(whole) == (255, 0, 0))
    assert Image.open(tmp_path / 'window.png').size == LAPTOP
