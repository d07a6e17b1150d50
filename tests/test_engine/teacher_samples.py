"""What a sample of the teacher needs of a runner, over tiny models."""
import random
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.dataset import default_collate, pseudo_collate
from torch.utils.data import DataLoader

from tests.helpers.classifiers import Images
from tests.helpers.training import sgd_wrapper


class DrawingImages(Images):
    """Images in a random brightness, of all three generators."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        factor = torch.rand(()) * np.random.rand() * random.random()
        item['inputs'] = (item['inputs'] * factor).to(torch.uint8)
        return item


class TwoViews(Images):
    """Every image, and a darker one."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        item['inputs'] = [item['inputs'], item['inputs'] // 2]
        return item


class SomeBroken(Images):
    """Only even images can be read."""

    def __getitem__(self, index):
        return None if index % 2 else super().__getitem__(index)


class Rows:
    """Keeps the logits and targets that it is shown."""

    def __init__(self):
        self.batches = []

    def __call__(self, logits, target):
        self.batches.append((logits, target))

    @property
    def logits(self):
        return torch.cat([logits for logits, _ in self.batches])

    @property
    def target(self):
        return torch.cat([target for _, target in self.batches])


def ready(distiller, dataset, collate=default_collate, wrapped=None,
          **loader):
    """Return what stands for a runner that is about to train."""
    loader = dict(dict(batch_size=2), **loader)
    return SimpleNamespace(
        model=wrapped or distiller.train(),
        train_dataloader=DataLoader(dataset, collate_fn=collate, **loader),
        optim_wrapper=sgd_wrapper(distiller))


def ready_detector(distiller, dataset, **loader):
    return ready(distiller, dataset, pseudo_collate, **loader)
