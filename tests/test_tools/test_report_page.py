"""The page of tools/analysis/report.py in a real browser, offline."""
import pytest

from tests.helpers.browser import LAPTOP, PHONE, open_page
from tests.helpers.processes import run_tool
from tests.helpers.work_dirs import (
    LOG,
    STAMP,
    write_distilled_run,
    write_feature_run,
    write_plain_run,
)

IMAGES = """() => [...document.images].map(
    i => [i.complete && i.naturalWidth > 0, i.clientWidth, i.alt.length])"""
HEADINGS = "() => [...document.querySelectorAll('h2')].map(h => h.innerText)"


@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
    """Write the report of three runs, one of them with a very long name."""
    folder = tmp_path_factory.mktemp('report')
    deepkd = write_distilled_run(folder / 'deepkd',
                                 [f'part{i}' for i in range(7)])
    (deepkd / f'{"a_long_name_of_a_config" * 4}.py').write_text('')
    (deepkd / STAMP / f'{STAMP}.log').write_text(
        LOG.replace('torch 2.1.2', 'torch 2.1.2, mmengine 0.10, ' * 6))
    run_tool('analysis/report.py', deepkd,
             write_feature_run(folder / 'diffkd'),
             write_plain_run(folder / 'plain'), '--out', folder / 'out',
             '--names', 'a_name_without_a_place_to_break_it_' * 3, 'diffkd',
             'plain')
    return folder / 'out' / 'report.html'


@pytest.mark.parametrize('window', [LAPTOP, PHONE], ids=['laptop', 'phone'])
def test_page_is_whole_and_fits(page_file, window):
    with open_page(page_file, window) as page:
        images = page.evaluate(IMAGES)
        assert page.errors == page.failed == page.external == []
        assert page.overflow() == 0
        assert page.evaluate('document.documentElement.scrollWidth') <= (
            window[0])
        assert page.evaluate(HEADINGS) == [
            'Runs', 'Accuracy', 'Losses by stream', 'Signal-to-noise ratio',
            'Momenta', 'Gradients', 'Feature distillation',
            'Top-K schedule', 'Agreement', 'Learning rate', 'Features',
            'Detections']
    assert len(images) == 15
    for loaded, width, text in images:
        assert loaded and text > 20
        # On a phone as wide as it allows, on a laptop two side by side.
        assert 300 < width < 650


def test_the_table_of_runs_needs_no_scrolling_on_a_laptop(page_file):
    with open_page(page_file) as page:
        assert page.evaluate("""() => {
            const table = document.querySelector('#runs table');
            return table.offsetWidth <= table.parentElement.clientWidth;
        }""")


def test_no_word_in_the_first_column_is_broken_on_a_phone(page_file):
    with open_page(page_file, PHONE) as page:
        assert page.evaluate("""() => {
            const cell = [...document.querySelectorAll('tbody th')].pop();
            return cell.innerText === 'plain' && cell.offsetWidth >= 100;
        }""")


def test_the_page_names_nothing_outside(page_file):
    text = page_file.read_text()
    assert 'http' not in text.replace('http-equiv', '')
    assert '<script' not in text


def test_every_link_has_its_section(page_file):
    with open_page(page_file) as page:
        assert page.evaluate("""() => [...document.querySelectorAll('nav a')]
            .every(a => document.querySelector(a.getAttribute('href')))""")
