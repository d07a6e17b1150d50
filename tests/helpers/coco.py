"""A tiny detection set in COCO format, over COCO's own 80 classes."""
import json

import numpy as np
from mmdet.datasets import CocoDataset
from PIL import Image

# As in COCO, the ids are not contiguous.
CATEGORY_IDS = [i + i // 10 + 1 for i in range(80)]


def write_coco(root, boxes_per_image=(2, 0, 3, 1), size=(96, 80), seed=0):
    """Write ``train2017/`` and ``val2017/`` with their annotations.

    Args:
        root: Folder to write to.
        boxes_per_image: Number of boxes on each image; some have none.
        size: (width, height) of the images.
        seed: Seed of the pixels and the boxes.
    """
    random = np.random.RandomState(seed)
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
        images, annotations = [], []
        for i, count in enumerate(boxes_per_image):
            name = f'{i:012d}.jpg'
            pixels = random.randint(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            images.append(
                dict(id=i + 1, file_name=name, width=size[0], height=size[1]))
            for _ in range(count):
                annotations.append(
                    _annotation(random, size, len(annotations) + 1, i + 1))
        (root / 'annotations' / f'instances_{split}.json').write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=_categories())))


def _annotation(random, size, number, image_id):
    width, height = (int(random.randint(20, side // 2)) for side in size)
    x = int(random.randint(0, size[0] - width))
    y = int(random.randint(0, size[1] - height))
    return dict(
        id=number,
        image_id=image_id,
        category_id=int(random.choice(CATEGORY_IDS)),
        bbox=[x, y, width, height],
        area=width * height,
        iscrowd=0)


def _categories():
    names = CocoDataset.METAINFO['classes']
    return [dict(id=i, name=n) for i, n in zip(CATEGORY_IDS, names)]
