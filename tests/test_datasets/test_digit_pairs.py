import numpy as np
import pytest
from sklearn.datasets import load_digits

from mmdeepkd.datasets import make_digit_pairs

SPLITS = dict(train=20, val=20, test=40)


@pytest.fixture(scope='module')
def splits():
    return {split: make_digit_pairs(split) for split in SPLITS}


@pytest.mark.parametrize('split', SPLITS)
def test_every_class_has_its_pairs(splits, split):
    pairs = splits[split]

    assert pairs.images.shape == (100 * SPLITS[split], 8, 16)
    assert pairs.images.dtype == np.uint8
    assert pairs.labels.dtype == np.int64
    assert np.bincount(pairs.labels).tolist() == [SPLITS[split]] * 100


def test_splits_share_no_digit(splits):
    used = {split: set(pairs.sources.ravel().tolist())
            for split, pairs in splits.items()}

    assert not used['train'] & used['val']
    assert not used['train'] & used['test']
    assert not used['val'] & used['test']
    assert len(used['test']) == 550 and len(used['val']) == 300


@pytest.mark.parametrize('split', SPLITS)
def test_images_show_the_digits_of_their_label(splits, split):
    """Left half and right half are the sources, plus the promised noise."""
    digits, labels = load_digits(return_X_y=True)
    pairs = splits[split]
    for side, unit in ((0, 10), (1, 1)):
        source = pairs.sources[:, side]
        assert (labels[source] == pairs.labels // unit % 10).all()
        half = pairs.images[..., 8 * side:8 * side + 8].astype(float)
        clean = 80 + 6 * digits[source].reshape(-1, 8, 8)
        # Half-way grey levels, which the clipping does not reach.
        noise = (half - clean)[np.abs(clean - 128) <= 24]
        assert abs(noise.mean()) < 1
        assert noise.std() == pytest.approx((176 - 80) / 3, rel=0.03)
        assert np.abs(noise).max() <= 96


def test_same_seed_gives_the_same_pixels_and_another_does_not(splits):
    again, other = make_digit_pairs('train'), make_digit_pairs('train', 1)

    assert (again.images == splits['train'].images).all()
    assert (again.sources == splits['train'].sources).all()
    assert (other.sources != splits['train'].sources).any()
    assert (other.labels == splits['train'].labels).all()


def test_pixels_are_frozen(splits):
    """The published numbers are numbers on these very pixels."""
    assert {split: int(pairs.images.sum())
            for split, pairs in splits.items()} == dict(
                train=27977711, val=27967864, test=56006503)
    assert splits['train'].sources[0].tolist() == [1413, 1667]


@pytest.mark.parametrize('arguments, message', [
    (('training', ), "no split 'training': choose one of train, val, test"),
    (('val', -1), 'seed of Digits-100 is -1: it must be >= 0'),
])
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_digit_pairs(*arguments)
