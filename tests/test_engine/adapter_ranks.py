"""What the two processes of test_adapter_ranks run."""
import copy
from unittest import mock

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper
from mmdeepkd.losses.diffkd import Draws, KnowledgeDiffusion
from tests.helpers.classifiers import image_batch, make_distiller, resnet

STEPS = 3
LOSSES = [
    dict(type='mmdeepkd.DeepKDLoss'),
    dict(type='mmdeepkd.DiffKDLoss'),
    dict(type='mmdeepkd.DiffKDLogitsLoss'),
]
OFFSETS = dict(task=0.05, target=-0.05, non_target=0.05, feature=0.)
WRAPPERS = {
    'shared momentum': dict(delta=0.05),
    'own momentum': dict(offsets=OFFSETS),
    'clip': dict(offsets=OFFSETS, clip_grad=dict(max_norm=0.5)),
    "MMEngine's": None,
}


def draws_of_the_sample(adapter, feature, place):
    """Noise that a sample has in whichever process and batch it is."""
    count, _, height, width = feature.shape
    shape = (adapter.transform.out_channels, height, width)
    pattern = torch.arange(shape[0] * height * width, dtype=feature.dtype)
    own = feature.detach().mean(dim=(1, 2, 3)).view(-1, 1, 1, 1)
    noise = pattern.view(shape).sin() * (1 + own)
    return Draws(noise, -noise, torch.full((count, ), 300))


def build(folder, name, statistics):
    """Return a distiller and its optimizer wrapper.

    Args:
        folder: For the teacher.
        name: Of the wrapper.
        statistics: Whether BatchNorm takes them of its process's batch, which
            is not that of another number of processes.
    """
    student = resnet(norm_eval=not statistics)
    model = make_distiller(folder, student, resnet(width=6), losses=LOSSES)
    model.double().train()
    if not statistics:
        model.distill.eval()
    sgd = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    options = WRAPPERS[name]
    return model, (OptimWrapper(sgd) if options is None else
                   DeepKDOptimWrapper(sgd, **options))


def part(step, rank=None):
    """Half a batch of eight, or the whole."""
    batch = image_batch(step, images=8)
    rows = slice(None) if rank is None else slice(4 * rank, 4 * rank + 4)
    return copy.deepcopy({name: values[rows]
                          for name, values in batch.items()})


def result(model, wrapper):
    return dict(
        names=[name for name, _ in model.named_parameters()],
        weights=[p.detach().clone() for p in model.parameters()],
        buffers={name: value for name, value in model.state_dict().items()
                 if 'running' in name or 'num_draws' in name},
        momentum=[value.clone()
                  for state in wrapper.optimizer.state.values()
                  for value in state.values()])


def train(model, wrapper, folder, rank=None):
    with mock.patch.object(KnowledgeDiffusion, 'draws_for',
                           draws_of_the_sample):
        for step in range(STEPS):
            model.train_step(part(step, rank), wrapper)


def train_alone(folder, name):
    model, wrapper = build(folder, name, statistics=False)
    train(model, wrapper, folder)
    return result(model, wrapper)


def train_rank(rank, folder, name):
    model, wrapper = build(folder, name, statistics=False)
    train(MMDistributedDataParallel(model, broadcast_buffers=False), wrapper,
          folder, rank)
    return result(model, wrapper)


def train_as_it_is(rank, folder):
    """With statistics and draws, each of one's own."""
    model, wrapper = build(folder, 'own momentum', statistics=True)
    seen = []
    real = KnowledgeDiffusion.draws_for

    def noted(*args):
        found = real(*args)
        seen.append([found.adapter_noise, found.noise, found.timesteps])
        return found

    ddp = MMDistributedDataParallel(model, broadcast_buffers=False)
    with mock.patch.object(KnowledgeDiffusion, 'draws_for', noted):
        for step in range(STEPS):
            ddp.train_step(part(step, rank), wrapper)
    return dict(result(model, wrapper), draws=seen)


def run_all(rank, folder):
    """Run everything in one process: starting it is what takes long."""
    folder = folder / str(rank)
    folder.mkdir()
    return dict({name: train_rank(rank, folder, name) for name in WRAPPERS},
                real=train_as_it_is(rank, folder))
