"""Runs of MMEngine's Runner, and single steps, on tiny data in memory."""
import copy
import itertools
import re

import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmdeepkd.engine import DeepKDOptimWrapper

from .batches import detection_batch

_runs = itertools.count()


class Recorder(Hook):
    """Keeps the losses of every iteration."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append({
            name: float(value.detach())
            for name, value in outputs.items() if '.' not in name
        })


class Scenes(Dataset):
    """The images of :func:`detection_batch`, one by one."""

    def __init__(self, **kwargs):
        self.batch = detection_batch(**kwargs)

    def __len__(self):
        return len(self.batch['inputs'])

    def __getitem__(self, index):
        # mmdet's preprocessor writes into the samples.
        return copy.deepcopy({k: v[index] for k, v in self.batch.items()})


def run_training(model, optim_wrapper, work_dir, iterations=5,
                 runner_class=Runner, seed=0, scenes=None, dataset=None,
                 collate='pseudo_collate', default_scope='mmdet',
                 num_workers=0, log_level='ERROR', **kwargs):
    """Train with MMEngine's Runner; return (runner, losses per iteration)."""
    recorder = Recorder()
    dataset = dataset or Scenes(**(scenes or dict(images=10)))
    kwargs.setdefault('train_cfg', dict(
        type='IterBasedTrainLoop', max_iters=iterations))
    runner = runner_class(
        model=ConfigDict(model),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            num_workers=num_workers,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type=collate)),
        optim_wrapper=ConfigDict(optim_wrapper),
        custom_hooks=[recorder, *kwargs.pop('custom_hooks', [])],
        default_scope=default_scope,
        log_level=log_level,
        randomness=dict(seed=seed),
        experiment_name=f'run_{next(_runs)}',
        **kwargs)
    runner.train()
    return runner, recorder.losses


def sgd_wrapper(model, delta=0.05, lr=0.01, wrapper=DeepKDOptimWrapper,
                **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return wrapper(optimizer, delta=delta, **kwargs)


def train_steps(distiller, steps=1, batch=None, **kwargs):
    """Train for some iterations; return the logged losses of each."""
    distiller.train()
    wrapper = sgd_wrapper(distiller, **kwargs)
    batch = batch or detection_batch()
    return [
        distiller.train_step(copy.deepcopy(batch), wrapper)
        for _ in range(steps)
    ]


def loss_dict(distiller, batch=None):
    """Return the losses of one forward pass in training mode."""
    data = distiller.data_preprocessor(
        copy.deepcopy(batch or detection_batch()), training=True)
    return distiller(**data, mode='loss')


def distilled(losses):
    """Select the losses of the distillation; mmdet's start with ``s0.``."""
    return {
        name: loss for name, loss in losses.items()
        if '.loss_' in name and not re.match(r's\d+\.', name)
    }


def equal_tensors(first, second):
    """Whether two dicts of tensors are equal bit for bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first)
