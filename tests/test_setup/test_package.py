"""The wheel: what it holds, what it asks for, and that it works installed."""
import shutil
import subprocess
import sys
import zipfile

import pytest
from requirement_files import read

from tests.test_setup.pretend import ROOT

SOURCES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE',
           'CHANGELOG.md', 'mmdeepkd', 'configs', 'model-index.yml')


def run_python(*args, **kwargs):
    subprocess.run([sys.executable, *args], check=True, timeout=120, **kwargs)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Build the wheel from a copy: a build writes into its sources."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / 'src' / name, symlinks=True,
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            (folder / 'src').mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / 'src' / name)
    run_python('-m', 'pip', 'wheel', '-q', '--no-deps', '--no-index',
               '--no-build-isolation', '-w', str(folder),
               str(folder / 'src'))
    return next(folder.glob('mmdeepkd-*.whl'))


def python_files(folder):
    return {path.relative_to(folder).as_posix()
            for path in folder.rglob('*.py') if '.mim' not in path.parts}


def test_the_wheel_holds_every_module_and_config(wheel):
    expected = {f'mmdeepkd/{name}' for name in python_files(ROOT / 'mmdeepkd')}
    configs = {f'mmdeepkd/.mim/configs/{name}'
               for name in python_files(ROOT / 'configs')}
    held = {name for name in zipfile.ZipFile(wheel).namelist()
            if name.endswith('.py')}

    assert configs
    assert held == expected | configs


def test_the_wheel_holds_the_model_index_and_what_it_imports(wheel):
    held = zipfile.ZipFile(wheel)
    index = held.read('mmdeepkd/.mim/model-index.yml').decode()
    folders = {path.parent.name for path in ROOT.glob('configs/*/*.yml')}
    metafiles = {f'configs/{folder}/metafile.yml' for folder in folders}

    assert len(metafiles) > 3
    assert index == (ROOT / 'model-index.yml').read_text()
    assert {f'mmdeepkd/.mim/{name}' for name in metafiles} == {
        name for name in held.namelist() if name.endswith('metafile.yml')}


def test_config_path_works_from_the_installed_wheel(wheel, tmp_path):
    name = min(python_files(ROOT / 'configs'))
    run_python('-m', 'pip', 'install', '-q', '--no-deps', '--no-index',
               '--target', str(tmp_path), str(wheel))
    # Isolated and without site packages: only the installed copy is there.
    code = (f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
            'import mmdeepkd\n'
            f'print(mmdeepkd.config_path({name!r}), end="")')
    found = subprocess.run([sys.executable, '-I', '-S', '-c', code],
                           cwd=tmp_path, check=True, text=True,
                           stdout=subprocess.PIPE).stdout

    assert found == f'{tmp_path}/mmdeepkd/.mim/configs/{name}'
    assert open(found).read() == (ROOT / 'configs' / name).read_text()


def test_the_wheel_asks_for_the_ranges_of_requirements(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = next(name for name in archive.namelist()
                    if name.endswith('dist-info/METADATA'))
    asked = {}
    for line in archive.read(metadata).decode().splitlines():
        if line.startswith('Requires-Dist: '):
            name, _, specifier = line[15:].split(';')[0].strip().partition(' ')
            for sign in '<>=':
                head, found, rest = name.partition(sign)
                if found:
                    name, specifier = head, found + rest + specifier
            asked[name] = set(specifier.strip('()').split(','))
    ours = {
        name: set(specifier.split(','))
        for name, specifier in read(ROOT / 'requirements/tests.txt').items()
    }

    assert {'torch', 'mmengine', 'numpy', 'mmdet', 'mmcv'} <= set(asked)
    assert asked == {name: ours[name] for name in asked}
