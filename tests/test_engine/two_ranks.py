"""What the two processes of test_two_processes run."""
from types import SimpleNamespace
from unittest import mock

import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD, AdamW

from mmdeepkd.engine import (
    AmpDeepKDOptimWrapper,
    DeepKDOptimWrapper,
    FiniteLossHook,
    gradients,
)
from mmdeepkd.engine.reduction import StreamReducer
from tests.helpers.float16 import AVAILABLE
from tests.helpers.toys import spoil_gradient, toy_batch, toy_streams
from tests.helpers.unreduced import launch_all_but_target

STEPS = 4


class ToyModel(BaseModel):
    """A body and two heads; one more head is never reached."""

    spoil = None

    def __init__(self, batch_norm=False):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh())
        self.norm = nn.BatchNorm1d(8) if batch_norm else nn.Identity()
        self.head = nn.Linear(8, 5)
        self.second = nn.Linear(8, 5)
        self.unused = nn.Linear(8, 5)

    def forward(self, inputs, data_samples=None, mode='loss'):
        out = self.norm(self.body(inputs))
        losses = toy_streams(self.head, out)
        if data_samples is not None:
            losses['target'] = losses['target'] + self.second(out).mean()
        if isinstance(self.spoil, float):
            losses['target'] = self.head(out * self.spoil).mean()
        elif self.spoil is not None:
            # No parameter is reached.
            losses['target'] = self.spoil
        return {
            ('loss' if name == 'task' else f'{name}.loss'): value
            for name, value in losses.items()
        }

    def parse_losses(self, losses):
        streams = {
            name.split('.')[0] if '.' in name else 'task': value
            for name, value in losses.items()
        }
        total = sum(streams.values())
        if not self.plain:
            total.streams = streams
        return total, {name: v.detach() for name, v in losses.items()}


def build(plain=False, freeze=True, amp=False, batch_norm=False, adamw=False,
          **kwargs):
    model = ToyModel(batch_norm)
    model.plain = plain
    # DDP wants every parameter reached unless it is told otherwise.
    model.unused.requires_grad_(not freeze)
    kind, options = DeepKDOptimWrapper, {}
    if amp:
        kind = AmpDeepKDOptimWrapper
        options = dict(dtype='float16', loss_scale=128.) if AVAILABLE \
            else dict(dtype='bfloat16')
    # Where a gradient is nearly 0 AdamW magnifies its rounding up to lr.
    optimizer = AdamW(model.parameters(), lr=1e-3, weight_decay=0.1) \
        if adamw else SGD(model.parameters(), lr=0.1, momentum=0.9,
                          weight_decay=0.01)
    wrapper = kind(optimizer, delta=0.05, **options, **kwargs)
    return model, wrapper


def data(step, part, head=True):
    """Half a batch; the two halves make one batch of eight."""
    x = toy_batch(step, 8, torch.float).chunk(2)[part]
    return dict(inputs=x, data_samples=[] if head else None)


def result(model, wrapper):
    return dict(
        weights=[p.detach().clone() for p in model.parameters()],
        momentum=[
            value.clone() for state in wrapper.optimizer.state.values()
            for value in state.values()
        ])


def train_rank(rank, options, ddp, heads=(True, True)):
    """Train on one's own half of every batch."""
    counts = options.get('accumulative_counts', 1)
    model, wrapper = build(**options)
    ddp_model = MMDistributedDataParallel(model, **ddp)
    for step in range(STEPS * counts):
        ddp_model.train_step(data(step, rank, heads[rank]), wrapper)
    return result(model, wrapper)


def buffers_in_forward(rank, broadcast):
    """Return the buffers that a forward after some training sees."""
    model, wrapper = build(batch_norm=True)
    ddp_model = MMDistributedDataParallel(model, broadcast_buffers=broadcast)
    for step in range(STEPS):
        ddp_model.train_step(data(step, rank), wrapper)
    ddp_model.eval()
    with torch.no_grad():
        ddp_model(**data(STEPS, rank))
    return list(model.buffers())[:2]


def train_unreduced(rank):
    """The same, but the stream ``target`` is left as it is on each rank."""
    with mock.patch.object(StreamReducer, '_launch', launch_all_but_target):
        return train_rank(rank, {}, {})


def train_alone(options, heads=(True, True)):
    """Train on both halves by accumulation: the mean over the ranks."""
    options = dict(options)
    counts = options.pop('accumulative_counts', 1)
    model, wrapper = build(accumulative_counts=2 * counts, **options)
    for step in range(STEPS * counts):
        for part in range(2):
            model.train_step(data(step, part, heads[part]), wrapper)
    return result(model, wrapper)


def overflow_on_one_rank(rank):
    """Return the weights before and after a step that must be skipped."""
    # Without a scaler (bfloat16) it is the wrapper that skips.
    model, wrapper = build(amp=True, nonfinite='skip')
    ddp_model = MMDistributedDataParallel(model)
    ddp_model.train_step(data(0, rank), wrapper)
    before = result(model, wrapper)
    if rank == 1:
        model.body.register_forward_hook(
            lambda module, args, out: spoil_gradient(out, float('inf')))
    ddp_model.train_step(data(1, rank), wrapper)
    return before, result(model, wrapper)


def lose_a_loss_on_one_rank(rank, nonfinite, gradient=True):
    """Train around a batch whose loss is NaN on rank 1 only."""
    model, wrapper = build(batch_norm=True, nonfinite=nonfinite)
    skipped = wrapper.skipped_steps
    ddp_model = MMDistributedDataParallel(model, broadcast_buffers=False)
    ddp_model.train_step(data(0, rank), wrapper)
    before = [value.clone() for value in model.state_dict().values()]
    if rank == 1:
        model.spoil = float('nan') if gradient else torch.tensor(float('nan'))
    try:
        ddp_model.train_step(data(1, rank), wrapper)
    except FloatingPointError as error:
        return str(error)
    after = [value.clone() for value in model.state_dict().values()]
    model.spoil = None
    ddp_model.train_step(data(2, rank), wrapper)
    return dict(before=before, after=after,
                skipped=wrapper.skipped_steps - skipped,
                later=result(model, wrapper)['weights'])


def stop_by_the_hook(rank):
    """Give the hook of MMEngine's wrappers a NaN on rank 1 only."""
    runner = SimpleNamespace(
        optim_wrapper=OptimWrapper, model=ToyModel(), iter=6)
    value = torch.tensor(float('nan') if rank == 1 else 1.)
    try:
        FiniteLossHook().after_train_iter(
            runner, 0, None, dict(loss=value, loss_cls=value))
    except FloatingPointError as error:
        return str(error)


def train_in_small_buckets(rank):
    """Reduce a few numbers at a time, as a large model does."""
    with mock.patch.object(gradients, '_CHUNK_BYTES', 64):
        return train_rank(rank, {}, {})


def run_all(rank, cases):
    """Run many functions in one process: starting it is what takes long."""
    return {
        name: function(rank, *args)
        for name, (function, *args) in cases.items()
    }
