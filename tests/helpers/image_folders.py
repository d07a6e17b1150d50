"""Tiny sets of images in the layouts of ImageNet and of CIFAR-100."""
import pickle

import numpy as np
from mmpretrain.datasets import CIFAR100
from PIL import Image


class TinyCIFAR100(CIFAR100):
    """CIFAR-100 from any files: the sums of the real ones are not asked."""

    train_list = [['train', None]]
    test_list = [['test', None]]
    meta = dict(CIFAR100.meta, md5=None)


def write_cifar(root, images=12):
    """Write ``cifar-100-python/``, as CIFAR-100 is published."""
    random = np.random.RandomState(0)
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)
    for split in ('train', 'test'):
        content = dict(
            data=random.randint(0, 256, (images, 3 * 32 * 32), np.uint8),
            fine_labels=random.randint(0, 100, images).tolist())
        (folder / split).write_bytes(pickle.dumps(content))
    names = dict(fine_label_names=list(CIFAR100.METAINFO['classes']))
    (folder / 'meta').write_bytes(pickle.dumps(names))


def write_imagenet(root, images=12, size=(80, 72)):
    """Write ``train/`` and ``val/``, a folder per class, and ``meta/``."""
    random = np.random.RandomState(0)
    (root / 'meta').mkdir(parents=True)
    for split in ('train', 'val'):
        lines = []
        for i in range(images):
            label = int(random.randint(1000))
            name = f'n{label:08d}/{i}.JPEG'
            path = root / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.randint(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(path)
            lines.append(f'{name} {label}')
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines) + '\n')
