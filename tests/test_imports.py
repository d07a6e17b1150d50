"""The rooms of the package, and what each may import.

Nothing imports upward or sideways: a room sees the packages and the lower
rooms named here, itself and the standard library.
"""
import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmdeepkd'
ROOMS = {
    'registry': {'mmengine'},
    'functional': {'torch'},
    'checkpoints': {'torch', 'mmengine', 'numpy'},
    'losses': {'torch', 'functional', 'registry'},
    'engine': {'torch', 'mmengine', 'functional', 'registry', 'checkpoints'},
    'distillers': {'torch', 'mmengine', 'registry', 'checkpoints'},
    'classification': {
        'torch', 'numpy', 'mmengine', 'mmpretrain', 'mmcv', 'distillers',
        'datasets', 'registry', 'checkpoints'
    },
    'detection': {
        'torch', 'mmengine', 'mmdet', 'mmcv', 'distillers', 'registry',
        'checkpoints'
    },
    'datasets': {'numpy', 'sklearn', 'cv2', 'PIL'},
    # The front door loads rooms by name when they are first asked for.
    '__init__': set(),
}


def imported_modules(tree, package):
    """Yield the absolute dotted names of all imports, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1]
            parts = [*(base if node.level else []),
                     *(node.module.split('.') if node.module else [])]
            for alias in node.names:
                yield '.'.join([*parts, alias.name])


def room_of(module):
    """Name what a module belongs to: a room of ours or a package."""
    parts = module.split('.')
    return (parts[1:] or parts)[0] if parts[0] == 'mmdeepkd' else parts[0]


def forbidden_imports(source, file):
    """List the imports of a file that its room may not have.

    Args:
        source: The file's text.
        file: Its path below the package, such as ``losses/kd_loss.py``.
    """
    room = file.parts[0] if len(file.parts) > 1 else file.stem
    allowed = ROOMS[room] | {room} | sys.stdlib_module_names
    package = ['mmdeepkd', *file.parts[:-1]]
    return [
        module for module in imported_modules(ast.parse(source), package)
        if room_of(module) not in allowed
    ]


@pytest.mark.parametrize(
    'file',
    [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob('*.py'))
     if '.mim' not in path.parts],
    ids=str)
def test_a_room_imports_only_what_it_may(file):
    source = (PACKAGE / file).read_text()

    assert forbidden_imports(source, file) == []


@pytest.mark.parametrize('file, source, found', [
    ('functional/kd.py', 'import mmengine', 'mmengine'),
    ('losses/a.py', 'from ..engine import b', 'mmdeepkd.engine.b'),
    ('losses/a.py', 'from .. import engine', 'mmdeepkd.engine'),
    ('engine/a.py', 'from mmdeepkd import losses', 'mmdeepkd.losses'),
    ('engine/hooks/a.py', 'from ...losses.b import c',
     'mmdeepkd.losses.b.c'),
    ('distillers/a.py', 'def f():\n    import mmdet.apis', 'mmdet.apis'),
    ('detection/a.py', 'import mmpretrain', 'mmpretrain'),
    ('registry.py', 'import mmdeepkd.losses', 'mmdeepkd.losses'),
    ('engine/a.py', 'import mmdeepkd', 'mmdeepkd'),
])
def test_an_import_across_rooms_is_found(file, source, found):
    assert forbidden_imports(source, Path(file)) == [found]


def test_imports_downward_and_inside_a_room_are_free():
    source = ('import os.path\nfrom torch import nn\nfrom .b import c\n'
              'from ..registry import MODELS\nfrom . import d\n')

    assert forbidden_imports(source, Path('losses/a.py')) == []
