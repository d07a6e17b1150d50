"""Every ImageNet config trains with the published values, or says why not."""
import json
from pathlib import Path

import pytest
from mmengine.config import Config

from ..helpers.shipped import LEAVES, shipped, split_name
from .compare import DYNAMIC_TOPK, differences

DATA = Path(__file__).resolve().parents[1] / 'data' / 'published'
ROWS = json.loads((DATA / 'imagenet.json').read_text())
CONFIGS = [Path(name).stem for name in LEAVES if name.startswith('imagenet/')]

# The row that stands in where the authors released none for the config.
STAND_INS = {
    'baseline_r18': (
        ROWS['baseline_mv1'], 'the one plain student that was released'),
    'baseline_mv2': (
        ROWS['baseline_mv1'], 'the one plain student that was released'),
    'deepkd_r50_mv1': (
        ROWS['deepkd_r50_mv2'], 'the paper reports the pair, the release '
        'leaves it out; same teacher, a student of similar size'),
    'deepkd_dkd_r50_mv1': (
        ROWS['deepkd_dkd_r50_mv2'], 'as deepkd_r50_mv1'),
    'deepkd_gdkd_r34_r18': (
        {**ROWS['deepkd_dkd_r34_r18'],
         'method': ROWS['gdkd_r34_r18']['method']},
        "our own combination: GDKD's loss, DeepKD's optimizer"),
    'deepkd_gdkd_r50_mv1': (
        {**ROWS['deepkd_dkd_r50_mv2'],
         'method': ROWS['gdkd_r50_mv1']['method']},
        "our own combination: GDKD's loss, DeepKD's optimizer"),
    'crld_r34_r18': (
        ROWS['deepkd_crld_r34_r18'], 'released under DeepKD alone'),
    'crld_r50_mv2': (
        ROWS['deepkd_crld_r50_mv2'], 'released under DeepKD alone'),
}
# Neither released by the authors nor like anything that they did.
UNPUBLISHED = {
    'baseline_deit_tiny': "mmpretrain's recipe",
    'kd_regnety16gf_deit_tiny': 'the DeepKD paper reports the pair, the '
    'release has neither the networks nor AdamW',
    'deepkd_regnety16gf_deit_tiny': 'as kd_regnety16gf_deit_tiny',
}
# Compared in test_diffkd.py: another form of row.
DIFFKD = ('diffkd_r34_r18', 'diffkd_r50_mv1', 'baseline_diffkd_r18',
          'baseline_diffkd_mv1')
# {config: {field: (ours, published, why)}}
DEVIATIONS = {
    name: dict(topk=DYNAMIC_TOPK) for name in (
        'deepkd_r34_r18', 'deepkd_r50_mv1', 'deepkd_r50_mv2',
        'deepkd_dkd_r34_r18', 'deepkd_dkd_r50_mv1', 'deepkd_dkd_r50_mv2',
        'deepkd_mlkd_r34_r18', 'deepkd_mlkd_r50_mv2', 'deepkd_crld_r34_r18',
        'deepkd_crld_r50_mv2')
}


def method_of(name):
    return '_'.join(split_name(f'imagenet/{name}.py')[1])


def load(name):
    return shipped(f'imagenet/{name}.py')


def test_every_config_has_a_row_or_a_reason():
    groups = [ROWS, STAND_INS, UNPUBLISHED, DIFFKD]
    listed = [name for group in groups for name in group]

    assert len(listed) == len(set(listed))
    assert set(listed) == set(CONFIGS)
    assert set(DEVIATIONS) <= set(ROWS) | set(STAND_INS)


@pytest.mark.parametrize('name', [*ROWS, *STAND_INS])
def test_values_are_the_published_ones(name):
    row = ROWS[name] if name in ROWS else STAND_INS[name][0]
    deviations = {
        field: values[:2]
        for field, values in DEVIATIONS.get(name, {}).items()
    }

    assert differences(load(name), row, method_of(name)) == deviations


@pytest.mark.parametrize('name', ROWS)
def test_rows_are_of_the_same_networks(name):
    row, pair = ROWS[name], name[len(method_of(name)) + 1:]
    short = dict(ResNet34='r34', ResNet18='r18', ResNet50='r50',
                 MobileNetV1='mv1', MobileNetV2='mv2')
    networks = [row['student']] if method_of(name) == 'baseline' else [
        row['teacher'], row['student']]

    assert pair == '_'.join(short[network] for network in networks)
    assert row['file'].startswith('configs/imagenet/')


@pytest.mark.parametrize('name', [
    name for name in CONFIGS if name not in UNPUBLISHED])
def test_eight_gpus_make_the_published_batch(name):
    cfg = load(name)

    assert 8 * cfg.train_dataloader.batch_size == (
        cfg.auto_scale_lr.base_batch_size)


@pytest.mark.parametrize('name', [
    name for name in CONFIGS if name.endswith('deit_tiny')])
def test_deit_keeps_the_recipe_of_mmpretrain(name, tmp_path):
    inherits = tmp_path / 'inherits.py'
    inherits.write_text(
        "_base_ = 'mmpretrain::deit/deit-tiny_4xb256_in1k.py'\n")
    recipe = Config.fromfile(inherits)
    cfg = load(name)

    for key in ('param_scheduler', 'train_cfg', 'auto_scale_lr',
                'train_pipeline', 'test_pipeline'):
        assert cfg[key] == recipe[key]
    for key in ('optimizer', 'paramwise_cfg', 'clip_grad'):
        assert cfg.optim_wrapper[key] == recipe.optim_wrapper[key]
    assert 4 * cfg.train_dataloader.batch_size == (
        cfg.auto_scale_lr.base_batch_size)


def test_deepkd_of_deit_has_one_class_per_image():
    """Its loss splits the classes by the label, which Mixup blends."""
    cfg = load('deepkd_regnety16gf_deit_tiny')
    student, plain = cfg.model.student, load('baseline_deit_tiny').model

    assert [a.type for a in plain.train_cfg.augments] == ['Mixup', 'CutMix']
    assert student.train_cfg is None
    assert dict(student, train_cfg=0) == dict(plain, train_cfg=0)
    assert load('kd_regnety16gf_deit_tiny').model.student == plain
