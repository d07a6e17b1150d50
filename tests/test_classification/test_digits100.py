import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope

from mmdeepkd.datasets import make_digit_pairs


def build(**options):
    init_default_scope('mmpretrain')
    return DATASETS.build(dict(type='mmdeepkd.Digits100', **options))


def test_samples_are_the_pairs_in_three_equal_channels():
    pairs = make_digit_pairs('val', seed=3)
    dataset = build(split='val', seed=3)

    assert len(dataset) == 2000
    assert dataset.metainfo['classes'][7:11] == ('07', '08', '09', '10')
    for index in (0, 777, 1999):
        sample = dataset[index]
        assert sample['img'].shape == (8, 16, 3)
        assert (sample['img'] == pairs.images[index][..., None]).all()
        assert sample['gt_label'] == pairs.labels[index]


def test_a_pipeline_does_not_change_the_data_set():
    def blacken(results):
        results['img'][:] = 0
        return results

    changed = build(split='val', pipeline=[blacken])

    assert changed[5]['img'].max() == 0
    assert changed.get_data_info(5)['img'].max() > 0


def test_packed_sample_is_what_a_classifier_takes():
    dataset = build(
        split='train', pipeline=[dict(type='mmpretrain.PackInputs')])
    sample = dataset[1999]

    assert sample['inputs'].shape == (3, 8, 16)
    assert sample['inputs'].dtype == torch.uint8
    assert sample['data_samples'].gt_label.tolist() == [99]
    assert sample['data_samples'].img_shape == (8, 16)


def test_indices_choose_pairs():
    assert np.array_equal(
        build(split='test', indices=[3, 50]).get_gt_labels(), [0, 1])
    assert len(build(split='test', indices=7)) == 7


@pytest.mark.parametrize('options, error, message', [
    (dict(split='training'), ValueError, "no split 'training'"),
    (dict(split='val', seed=-2), ValueError, 'seed of Digits-100 is -2'),
    (dict(split='val', data_root='x'), TypeError, 'data_root'),
])
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)
