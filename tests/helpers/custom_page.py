"""The configs that docs/custom_data.md shows."""
import re
import shutil

from mmengine.config import Config

from tests.helpers.processes import ROOT

PAGE = (ROOT / 'docs' / 'custom_data.md').read_text(encoding='utf-8')


def page_config(base, folder):
    """Read a config of the page, beside a copy of the templates.

    Args:
        base: Name of the template that it is based on.
        folder: Where the copy goes.

    Returns:
        The config, and the template's.
    """
    own, = re.findall(
        f"```python\n(_base_ = '{base}.py'\n.*?)```", PAGE, re.DOTALL)
    beside = folder / 'custom'
    shutil.copytree(ROOT / 'configs' / 'custom', beside)
    (beside / 'own.py').write_text(own)
    return (Config.fromfile(beside / 'own.py'),
            Config.fromfile(beside / f'{base}.py'))
