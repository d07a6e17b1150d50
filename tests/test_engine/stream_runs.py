"""Runs with streams whose gradients follow a known law, or of a real loss."""
import itertools
import json

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmdeepkd.losses import DeepKDLoss
from tests.helpers.toys import with_streams

_names = itertools.count()

#: True GSNR of an update of four samples, per stream.
RATIOS = dict(task=5., target=0.05, non_target=0.5)
#: That of the head is so many times the backbone's.
HEAD = 2.
BATCH = 4


class Numbers(Dataset):
    """The numbers from 0 on, for models that make their data of them."""

    def __init__(self, length=400):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return dict(inputs=index)


class KnownStreams(BaseModel):
    """Losses linear in the weights: each gradient is mean + noise / sample.

    The noise of a sample is drawn anew from its number, so that the gradient
    does not depend on how samples are spread over iterations and processes.
    """

    def __init__(self, size=1000):
        super().__init__()
        self.backbone = nn.ParameterDict(dict(
            layer1=nn.Parameter(torch.ones(size // 2))))
        self.head = nn.ParameterDict(dict(
            fc=nn.Parameter(torch.ones(size - size // 2))))

    def forward(self, inputs, data_samples=None, mode='loss'):
        weights = torch.cat([self.backbone['layer1'], self.head['fc']])
        half = len(self.backbone['layer1'])
        losses = {}
        for k, (stream, ratio) in enumerate(RATIOS.items()):
            # The mean over a batch has the variance 1 / BATCH.
            means = torch.full_like(weights, ratio / BATCH)
            means[half:] *= HEAD
            signs = 1 - 2 * (torch.arange(len(weights)) % 2)
            grads = torch.stack([
                means.sqrt() * signs + torch.randn(
                    len(weights), generator=torch.Generator().manual_seed(
                        7 * int(number) + k)) for number in inputs])
            # Streams of different size.
            losses[stream] = 10.**-k * (grads.mean(dim=0) * weights).sum()
        return losses

    def parse_losses(self, losses):
        return with_streams(losses), {
            'loss': sum(loss.detach() for loss in losses.values())}


class SmallDistiller(BaseModel):
    """A net, a teacher's linear layer and DeepKD's loss on five classes."""

    num_logits = 5
    loss_names = ['loss_deepkd']

    def __init__(self, plain=False, losses=None):
        super().__init__()
        torch.manual_seed(0)
        self.plain = plain
        self.backbone = nn.Sequential(nn.Linear(6, 8), nn.Tanh(),
                                      nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 5)
        self.teacher = torch.randn(6, 5)
        self.losses = nn.ModuleList(losses or [DeepKDLoss(topk=3)])
        self.logits = []

    def forward(self, inputs, data_samples=None, mode='loss'):
        inputs = torch.stack([
            torch.randn(6, generator=torch.Generator().manual_seed(int(i)))
            for i in inputs])
        student = self.head(self.backbone(inputs))
        teacher = inputs @ self.teacher
        target = teacher.argmax(dim=1)
        self.logits.append((student.detach(), teacher))
        task = nn.functional.cross_entropy(student.float(), target)
        if self.plain:
            return dict(task=task)
        return dict(self.losses[0](student, teacher, target), task=task)

    def parse_losses(self, losses):
        total = sum(losses.values())
        if not self.plain:
            total.streams = losses
        return total, dict(loss=total.detach())


def build(work_dir, model, hooks, iterations=8, batch=BATCH, wrapper=None,
          runner=Runner, optimizer=None, **kwargs):
    """A runner by iteration over :class:`Numbers`."""
    wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
                   **(wrapper or {})) if 'type' not in (
                       wrapper or {}) else wrapper
    return runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=batch, num_workers=0, dataset=Numbers(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=kwargs.pop('train_cfg', dict(
            by_epoch=False, max_iters=iterations)),
        optim_wrapper=dict(
            optimizer=optimizer or dict(type='SGD', lr=0.01, momentum=0.9),
            **wrapper),
        custom_hooks=hooks,
        log_level='ERROR',
        experiment_name=f'stream_run_{next(_names)}',
        **kwargs)


def run(*args, **kwargs):
    """Build and train; return the runner."""
    runner = build(*args, **kwargs)
    runner.train()
    return runner


def reports(work_dir):
    """Return the lines of the one streams.jsonl below a folder."""
    path, = work_dir.glob('*/streams.jsonl')
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(report):
    """Return a report without its place in the run."""
    return {name: value for name, value in report.items()
            if name not in ('iter', 'epoch')}
