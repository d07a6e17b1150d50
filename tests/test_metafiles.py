"""The metafiles list every config once, and say what it says."""
import functools
from collections import Counter

import pytest
from mmengine.fileio import load

from .helpers.shipped import CONFIGS, LEAVES, shipped

ROOT = CONFIGS.parent
FOLDERS = sorted({name.split('/')[0] for name in LEAVES})


@functools.lru_cache(maxsize=None)
def metafile(folder):
    return load(str(CONFIGS / folder / 'metafile.yml'))


def listed(folder):
    """Return the models of a folder by the path of their config."""
    return {model['Config']: model for model in metafile(folder)['Models']}


@pytest.mark.parametrize('folder', FOLDERS)
def test_every_config_is_listed_once(folder):
    paths = [model['Config'] for model in metafile(folder)['Models']]

    assert sorted(paths) == sorted(
        f'configs/{name}' for name in LEAVES if name.startswith(f'{folder}/'))


@pytest.mark.parametrize('folder', FOLDERS)
def test_collections_are_those_in_use(folder):
    content = metafile(folder)
    names = [collection['Name'] for collection in content['Collections']]

    assert len(set(names)) == len(names)
    assert {model['In Collection'] for model in content['Models']} == set(
        names)
    for collection in content['Collections']:
        assert (ROOT / collection['README']).is_file()


def test_names_are_unique_and_those_of_the_files():
    models = [model for folder in FOLDERS
              for model in metafile(folder)['Models']]
    names = Counter(model['Name'] for model in models)

    assert [name for name, count in names.items() if count > 1] == []
    for model in models:
        assert model['Config'].endswith(f'/{model["Name"]}.py')


@pytest.mark.parametrize('name', LEAVES)
def test_epochs_batch_and_teacher_are_those_of_the_config(name):
    cfg = shipped(name)
    metadata = listed(name.split('/')[0])[f'configs/{name}']['Metadata']

    assert metadata['Epochs'] == cfg.train_cfg.max_epochs
    assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size
    assert ('Teacher' in metadata) == ('teacher' in cfg.model)
    if 'Teacher' in metadata:
        teacher = cfg.model.teacher
        if isinstance(teacher, dict):
            teacher = f"timm's {teacher['model_name']}"
        assert teacher.endswith(metadata['Teacher'].replace('configs/', ''))


def test_the_index_imports_every_metafile():
    index = load(str(ROOT / 'model-index.yml'))

    assert sorted(index['Import']) == [
        f'configs/{folder}/metafile.yml' for folder in FOLDERS]
