"""The requirement files: how they are read, and that they agree."""
import pytest
from requirement_files import pins, python_range, read, release, satisfies

from tests.test_setup.pretend import ROOT

FOLDER = ROOT / 'requirements'


@pytest.mark.parametrize('version, specifier, expected', [
    ('2.1.0', '>=2.0,<2.2', True),
    ('2.2.0', '>=2.0,<2.2', False),
    ('2.0.0rc4', '>=2.0,<2.2', True),
    ('1.7.2', '>=2.0,<2.2', False),
    ('2.1.2+cu121', '==2.1.2', True),
    ('2.12.1', '>=2.2', True),
    ('2.1', '==2.1.0', True),
    ('80.9.0', '<81', True),
    ('3.0', '>3', False),
    ('3.0.1', '>3', True),
    ('3', '<=3.0', True),
    ('anything would do'.replace(' ', ''), '', True),
])
def test_versions_are_compared_by_number(version, specifier, expected):
    assert satisfies(version, specifier) is expected


def test_a_release_is_its_numbers():
    assert release('2.10.0+cpu') == [2, 10]


def test_comments_markers_and_includes_are_read(tmp_path):
    (tmp_path / 'a.txt').write_text('# python 3.8 to 3.11\n-r b.txt\n'
                                    'torch == 2.1.2  # why\n\n')
    (tmp_path / 'b.txt').write_text('scikit-learn>=1.0, <2; os_name=="nt"\n')

    assert read(tmp_path / 'a.txt') == {
        'scikit-learn': '>=1.0,<2',
        'torch': '==2.1.2'
    }
    assert pins(tmp_path / 'a.txt') == {'torch': '2.1.2'}
    assert python_range(tmp_path / 'a.txt') == ((3, 8), (3, 11))


@pytest.mark.parametrize('stack', ['modern', 'classic'])
@pytest.mark.parametrize('name', ['tests', 'both', 'bench', 'build'])
def test_a_tested_stack_lies_in_the_accepted_ranges(stack, name):
    accepted = read(FOLDER / f'{name}.txt')
    pinned = pins(FOLDER / f'{stack}.txt')
    checked = {
        package: satisfies(pinned[package], specifier)
        for package, specifier in accepted.items() if package in pinned
    }

    assert checked and all(checked.values()), checked


@pytest.mark.parametrize('stack', ['modern', 'classic'])
def test_a_tested_stack_fixes_what_results_depend_on(stack):
    assert {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet',
            'mmpretrain'} <= set(pins(FOLDER / f'{stack}.txt'))


def test_the_classic_stack_is_what_clusters_run():
    classic = read(FOLDER / 'classic.txt')

    assert python_range(FOLDER / 'classic.txt') == ((3, 10), (3, 10))
    assert classic['torch'] == '==2.1.2'
    # numpy 2 breaks torch 2.1, and opencv-python 4.12 asks for numpy 2.
    assert satisfies('1.26.4', classic['numpy'])
    assert not satisfies('4.12.0', classic['opencv-python'])
