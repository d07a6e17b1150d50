"""Toy runs of which every part draws random numbers."""
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from torch.utils.data import Dataset

from tests.helpers.toys import toy_batch
from tests.test_engine.toy_distiller import ToyDistiller


class DrawingData(Dataset):
    """Twelve samples, augmented by all three generators."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        noise = torch.rand(()) + np.random.rand() + random.random()
        return dict(inputs=toy_batch(index, 1, torch.float)[0] + noise)


class DrawingDistiller(ToyDistiller):
    """Its forward draws too, as a RoI sampler does; more on later ranks."""

    def forward(self, inputs, data_samples=None, mode='loss'):
        if mode == 'loss':
            noise = torch.rand(1 + get_rank(), *inputs.shape)
            inputs = inputs + 0.1 * noise.sum(0)
        return super().forward(inputs, data_samples, mode)

    def val_step(self, data):
        torch.rand(7)
        random.random()
        np.random.rand()
        return [{}]


class Growing(BaseMetric):
    """A metric that grows: every validation finds a new best model."""

    score = 0.

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.score += 1
        return dict(score=self.score)


def toy_config(by_epoch=True, val_interval=None, workers=0, persistent=False,
               seed=0, infinite=False, **wrapper):
    """Six epochs of three iterations; hooks save after each epoch's worth."""
    loader = dict(
        batch_size=4, num_workers=workers, dataset=DrawingData(),
        persistent_workers=persistent,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='InfiniteSampler' if infinite else 'DefaultSampler',
                     shuffle=True))
    train = dict(max_epochs=6) if by_epoch else dict(max_iters=18)
    cfg = dict(
        model=DrawingDistiller(),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=by_epoch, **train),
        optim_wrapper={
            'type': 'mmdeepkd.DeepKDOptimWrapper', 'delta': 0.05,
            'optimizer': dict(type='SGD', lr=0.1, momentum=0.9,
                              weight_decay=0.01), **wrapper},
        param_scheduler=dict(
            type='CosineAnnealingLR', by_epoch=by_epoch,
            T_max=6 if by_epoch else 18),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=by_epoch,
                rule='greater',
            interval=1 if by_epoch else 3)),
        custom_hooks=[
            dict(type='mmdeepkd.DynamicTopKHook', by_epoch=by_epoch)
        ],
        randomness=dict(seed=seed))
    if val_interval:
        cfg['train_cfg']['val_interval'] = val_interval
        cfg.update(val_dataloader=dict(loader, num_workers=0,
                                       persistent_workers=False),
                   val_cfg=dict(), val_evaluator=[Growing()])
    return cfg
