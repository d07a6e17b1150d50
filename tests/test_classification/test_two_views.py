"""Two views of every image, from the shipped pipelines to the model."""
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample

from mmdeepkd.classification.two_views import TwoViewDataPreprocessor

BASES = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
NUMBERS = dict(mean=[100., 110., 120.], std=[50., 60., 70.], to_rgb=True)


def shipped(name):
    return Config.fromfile(BASES / f'{name}_two_views.py')


def pipeline(config):
    """Return the training pipeline, built, without the loading of files."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose([
            TRANSFORMS.build(step)
            for step in config.train_dataloader.dataset.pipeline
            if step.type != 'LoadImageFromFile'
        ])


def image(seed, size=32):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (size, size, 3), dtype=np.uint8)


def samples(config, count=4, size=32):
    """Return packed samples of a shipped pipeline."""
    np.random.seed(0)
    transform = pipeline(config)
    return [
        transform(
            dict(
                img=image(i, size),
                gt_label=i,
                ori_shape=(size, size),
                # LoadImageFromFile sets it, CIFAR-100 does not.
                **({} if size == 32 else dict(img_shape=(size, size)))))
        for i in range(count)
    ]


def two_view_batch(count=3, size=6):
    """Return a collated batch of two random views, uint8."""
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(
        0, 256, (2, count, 3, size, size), generator=generator,
        dtype=torch.uint8)
    labels = [DataSample().set_gt_label(i) for i in range(count)]
    return dict(inputs=[views[0], views[1]], data_samples=labels)


@pytest.mark.parametrize(('name', 'size', 'out'), [('cifar100', 32, 32),
                                                   ('imagenet', 40, 224)])
@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_a_shipped_pipeline_to_the_models_inputs(name, size, out, collate):
    config = shipped(name)
    packed = samples(config, size=size)
    preprocessor = MODELS.build(config.data_preprocessor)

    batch = preprocessor(collate(packed), training=True)

    weak, strong = batch['inputs']
    for i, view in enumerate((weak, strong)):
        raw = torch.stack([sample['inputs'][i] for sample in packed])
        raw = raw.flip(1) if name == 'imagenet' else raw
        mean, std = (
            torch.tensor(config.data_preprocessor[key]).view(3, 1, 1)
            for key in ('mean', 'std'))
        assert view.shape == (4, 3, out, out)
        torch.testing.assert_close(view, (raw.float() - mean) / std)
    assert not torch.equal(weak, strong)
    labels = [int(sample.gt_label) for sample in batch['data_samples']]
    assert labels == [0, 1, 2, 3]
    assert 'img_shape' not in batch['data_samples'][0]


def test_the_weak_view_is_the_training_pipeline_of_one_view():
    for name in ('cifar100', 'imagenet'):
        single = Config.fromfile(BASES / f'{name}.py')
        double = shipped(name)
        views, = (step for step in double.train_dataloader.dataset.pipeline
                  if step.type == 'mmpretrain.MultiView')

        steps = [
            step for step in single.train_dataloader.dataset.pipeline
            if step.type not in ('LoadImageFromFile', 'mmpretrain.PackInputs')
        ]
        assert views.num_views == [1, 1]
        assert views.transforms[0] == steps
        assert views.transforms[1][:len(steps)] == steps
        for key in ('val_dataloader', 'test_dataloader', 'val_evaluator'):
            assert double[key] == single[key]
        for key in ('mean', 'std', 'to_rgb', 'num_classes'):
            assert (double.data_preprocessor[key] ==
                    single.data_preprocessor[key])


def test_the_views_are_drawn_apart_from_the_same_image():
    config = shipped('cifar100')
    original = image(0)
    np.random.seed(0)

    draws = [
        pipeline(config)(dict(img=original, gt_label=0))['inputs']
        for _ in range(20)
    ]

    assert np.array_equal(original, image(0))
    assert len({weak.numpy().tobytes() for weak, _ in draws}) > 10
    # Crop and flip keep the pixels' values, up to the padded border.
    values = {tuple(pixel) for pixel in original.reshape(-1, 3).tolist()}
    for weak, _ in draws:
        found = weak.permute(1, 2, 0).reshape(-1, 3).tolist()
        assert {tuple(pixel) for pixel in found} <= values | {(0, 0, 0)}


def test_the_strong_view_draws_every_published_operation():
    config = shipped('cifar100')
    strong = config.strong_view[2]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        augment = TRANSFORMS.build(strong)
    np.random.seed(0)

    drawn = Counter(
        index for _ in range(2000)
        for index in augment.random_policy_indices())

    assert sorted(drawn) == list(range(14))
    assert min(drawn.values()) > 200
    identities = [op for op in augment.transforms if op.prob == 0]
    assert len(identities) == 1
    for op in augment.transforms:
        if op.magnitude_range is not None:
            magnitudes = [op.random_magnitude() for _ in range(500)]
            low, high = op.magnitude_range
            assert low <= min(magnitudes) < low + 0.05 * (high - low)
            assert high - 0.05 * (high - low) < max(magnitudes) <= high
        if op is not identities[0]:
            assert not any(op.random_disable() for _ in range(50))


@pytest.mark.parametrize(('name', 'size'), [('cifar100', 32),
                                            ('imagenet', 224)])
def test_the_square_is_grey_and_up_to_half_as_wide(name, size):
    config = shipped(name)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        cutout = TRANSFORMS.build(config.strong_view[-1])
    fill = (125, 123, 114) if name == 'cifar100' else (114, 123, 125)
    np.random.seed(0)

    widths = []
    for _ in range(100):
        img = cutout(dict(img=np.zeros((size, size, 3), np.uint8)))['img']
        filled = (img == fill).all(axis=2)
        assert (filled | (img == 0).all(axis=2)).all()
        widths.append(filled.any(axis=0).sum())

    assert size * 0.4 < max(widths) <= size / 2


def test_each_view_is_preprocessed_as_one():
    batch = two_view_batch()
    parent = ClsDataPreprocessor(pad_size_divisor=4, pad_value=7, **NUMBERS)
    expected = [
        parent(dict(inputs=view))['inputs'] for view in batch['inputs']
    ]

    found = TwoViewDataPreprocessor(
        pad_size_divisor=4, pad_value=7, **NUMBERS)(batch, training=True)

    assert isinstance(found['inputs'], list)
    for view, wanted in zip(found['inputs'], expected):
        assert torch.equal(view, wanted)
        assert view.shape == (3, 3, 8, 8)
    assert found['data_samples'] is batch['data_samples']


@pytest.mark.parametrize('listed', [False, True])
@pytest.mark.parametrize('count', [2, 3])
def test_one_view_is_what_the_parent_makes_of_it(listed, count):
    view = two_view_batch(count)['inputs'][0]
    labels = [DataSample().set_gt_label(i) for i in range(count)]
    data = dict(
        inputs=list(view) if listed else view, data_samples=labels)

    found = TwoViewDataPreprocessor(**NUMBERS)(data)

    expected = ClsDataPreprocessor(**NUMBERS)(data)
    assert torch.equal(found['inputs'], expected['inputs'])
    assert found['inputs'].shape == (count, 3, 6, 6)
    assert found['data_samples'] is labels


def test_labels_may_become_scores():
    batch = two_view_batch()

    found = TwoViewDataPreprocessor(
        to_onehot=True, num_classes=4, **NUMBERS)(batch, training=True)

    scores = torch.stack([s.gt_score for s in found['data_samples']])
    assert torch.equal(scores, torch.eye(4, dtype=scores.dtype)[:3])


def test_the_views_follow_the_model_to_its_device():
    preprocessor = TwoViewDataPreprocessor(**NUMBERS).to('meta')

    batch = preprocessor(two_view_batch(), training=True)

    assert {view.device.type for view in batch['inputs']} == {'meta'}


def test_batch_augmentations_are_refused():
    with pytest.raises(ValueError, match='CutMix of two views are not def'):
        TwoViewDataPreprocessor(
            batch_augments=dict(augments=[dict(type='Mixup', alpha=0.8)]),
            **NUMBERS)


def test_three_views_are_refused():
    batch = two_view_batch()
    batch['inputs'].append(batch['inputs'][0])

    with pytest.raises(ValueError, match='inputs holds 3 views of every imag'):
        TwoViewDataPreprocessor(**NUMBERS)(batch, training=True)
