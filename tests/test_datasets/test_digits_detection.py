import json
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mmdeepkd.datasets import DIGITS_CLASSES, make_digits_detection
from mmdeepkd.datasets.digit_scenes import draw_scene, enlarge, overlap
from mmdeepkd.datasets.digits_detection import _disjoint_pools


@pytest.fixture(scope='module')
def digits_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'digits'
    assert make_digits_detection(root, num_train=60, num_val=30)
    return root


def annotations(root, split):
    return json.loads((root / 'annotations' / f'{split}.json').read_text())


def boxes_by_image(coco):
    boxes = {image['id']: [] for image in coco['images']}
    for annotation in coco['annotations']:
        boxes[annotation['image_id']].append(annotation['bbox'])
    return boxes


def contents(root):
    """File -> bytes, or pixels for an image."""
    return {
        path.relative_to(root).as_posix():
        Image.open(path).tobytes()
        if path.suffix == '.png' else path.read_bytes()
        for path in root.rglob('*') if path.is_file()
    }


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(
        digits_root, tmp_path):
    make_digits_detection(tmp_path / 'again', num_train=60, num_val=30)
    make_digits_detection(
        tmp_path / 'other', num_train=60, num_val=30, seed=1)
    assert contents(tmp_path / 'again') == contents(digits_root)
    other, first = contents(tmp_path / 'other'), contents(digits_root)
    assert other['train/000000.png'] != first['train/000000.png']
    assert (other['annotations/val.json'] != first['annotations/val.json'])


def test_a_scene_does_not_depend_on_how_many_there_are(digits_root, tmp_path):
    make_digits_detection(tmp_path / 'few', num_train=3, num_val=2)
    few, many = contents(tmp_path / 'few'), contents(digits_root)
    for name in ('train/000002.png', 'val/000001.png'):
        assert few[name] == many[name]


def test_first_scene_is_frozen(digits_root):
    """The published numbers are numbers on these very pixels."""
    pixels = np.asarray(Image.open(digits_root / 'train' / '000000.png'))
    assert pixels.shape == (128, 128) and pixels.dtype == np.uint8
    assert int(pixels.sum()) == 1296554
    first = [
        (a['category_id'], a['bbox'])
        for a in annotations(digits_root, 'train')['annotations']
        if a['image_id'] == 1
    ]
    assert first == [(1, [59, 94, 22, 30]), (1, [81, 18, 15, 20]),
                     (7, [21, 56, 20, 27]), (10, [104, 58, 17, 24])]


def test_annotations_are_valid_coco(digits_root):
    from pycocotools.coco import COCO
    for split, count in dict(train=60, val=30).items():
        coco = COCO(digits_root / 'annotations' / f'{split}.json')
        assert len(coco.imgs) == count
        assert [c['name'] for c in coco.cats.values()] == list(DIGITS_CLASSES)
        for image in coco.imgs.values():
            assert (digits_root / split / image['file_name']).is_file()
        for annotation in coco.anns.values():
            x, y, width, height = annotation['bbox']
            assert 0 <= x < x + width <= 128 and 0 <= y < y + height <= 128
            assert annotation['area'] == width * height
            assert annotation['image_id'] in coco.imgs
            assert annotation['category_id'] in coco.cats


def test_some_scenes_are_empty_and_none_is_crowded(digits_root):
    counts = [
        len(boxes) for boxes in boxes_by_image(
            annotations(digits_root, 'train')).values()
    ]
    assert [i for i, count in enumerate(counts) if not count] == [24, 49]
    assert max(counts) == 5


def test_boxes_overlap_little(digits_root):
    pairs = 0
    for boxes in boxes_by_image(annotations(digits_root, 'train')).values():
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                assert overlap(one, other) <= 0.1
                pairs += 1
    assert pairs > 100


def test_overlap_by_hand():
    assert overlap((0, 0, 10, 10), (8, 0, 4, 5)) == 10 / 20
    assert overlap((0, 0, 10, 10), (10, 0, 4, 5)) == 0
    assert overlap((0, 0, 10, 10), (20, 20, 4, 5)) == 0


def test_box_is_tight_to_the_ink():
    """A full-ink block in columns 2-5 and rows 1-6 of the 8x8 digit."""
    digit = np.zeros((8, 8))
    digit[1:7, 2:6] = 1
    for seed in range(20):
        random = np.random.RandomState(seed)
        scene, ((x, y, width, height), ) = draw_scene(random, digit[None])
        bare, _ = draw_scene(np.random.RandomState(seed), digit[None][:0])
        rows, columns = np.nonzero(scene.astype(int) - bare)
        # The faintest ink, below a quarter, ends within two pixels.
        assert 0 <= x - columns.min() <= 2
        assert 0 <= columns.max() - (x + width - 1) <= 2
        assert 0 <= y - rows.min() <= 2
        assert 0 <= rows.max() - (y + height - 1) <= 2


def test_digit_without_room_is_left_out():
    digits = np.ones((200, 8, 8))
    _, boxes = draw_scene(np.random.RandomState(0), digits)
    placed = [box for box in boxes if box]
    assert len(boxes) == 200 and 5 < len(placed) < 100
    assert all(
        overlap(one, other) <= 0.1 for i, one in enumerate(placed)
        for other in placed[:i])


def test_enlarge_is_bilinear():
    ramp = np.tile(np.arange(8.), (8, 1))
    big = enlarge(ramp, 16)
    np.testing.assert_allclose(big[3, :4], [0, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(enlarge(ramp.T, 16), big.T)


def test_train_and_val_digits_are_disjoint_and_balanced():
    _, labels = load_digits(return_X_y=True)
    pools = _disjoint_pools(labels, seed=0)
    everything = np.concatenate([pools['train'], pools['val']])
    assert sorted(everything) == list(range(1797))
    assert np.bincount(labels[pools['val']]).tolist() == [36] * 10


def test_only_the_own_pool_is_drawn(monkeypatch, tmp_path):
    """Every digit drawn on a scene belongs to the split of that scene."""
    from mmdeepkd.datasets import digits_detection
    drawn = []

    def spy(random, digits):
        drawn.append({digit.tobytes() for digit in digits})
        return draw_scene(random, digits)

    monkeypatch.setattr(digits_detection, 'draw_scene', spy)
    make_digits_detection(tmp_path / 'set', num_train=40, num_val=40)
    train, val = set().union(*drawn[:40]), set().union(*drawn[40:])
    assert len(train) > 80 and len(val) > 80 and not train & val


def test_second_call_does_nothing_and_is_quick(digits_root):
    before = (digits_root / 'recipe.json').stat().st_mtime_ns
    start = time.perf_counter()
    assert not make_digits_detection(digits_root, num_train=60, num_val=30)
    assert time.perf_counter() - start < 0.1
    assert (digits_root / 'recipe.json').stat().st_mtime_ns == before


def test_another_recipe_replaces_an_own_folder(tmp_path):
    root = tmp_path / 'set'
    make_digits_detection(root, num_train=4, num_val=1)
    assert make_digits_detection(root, num_train=2, num_val=1)
    assert len(list((root / 'train').iterdir())) == 2


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='not written by.*move it away'):
        make_digits_detection(tmp_path, num_train=1, num_val=1)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']


def test_interruption_leaves_nothing_behind(tmp_path):

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_digits_detection(
            tmp_path / 'set', num_train=4, num_val=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_to_the_total(tmp_path):
    calls = []
    make_digits_detection(
        tmp_path / 'set',
        num_train=3,
        num_val=2,
        progress=lambda *call: calls.append(call))
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize('bad', [
    dict(num_train=0),
    dict(num_val=0),
    dict(seed=-1),
])
def test_bad_numbers_are_refused(bad, tmp_path):
    with pytest.raises(ValueError, match='num_train >= 1.*seed >= 0'):
        make_digits_detection(tmp_path / 'set', **bad)


def test_plain_mmdet_reads_the_set(digits_root):
    from mmdet.datasets import CocoDataset
    dataset = CocoDataset(
        data_root=str(digits_root),
        metainfo=dict(classes=DIGITS_CLASSES),
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=[])
    assert len(dataset) == 60
    coco = annotations(digits_root, 'train')
    for index in (0, 24):
        info = dataset.get_data_info(index)
        expected = [
            a for a in coco['annotations'] if a['image_id'] == index + 1
        ]
        assert [i['bbox_label'] for i in info['instances']
                ] == [a['category_id'] - 1 for a in expected]
        for instance, a in zip(info['instances'], expected):
            x, y, width, height = a['bbox']
            assert instance['bbox'] == [x, y, x + width, y + height]
