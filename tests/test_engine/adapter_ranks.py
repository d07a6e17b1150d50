"""What the two processes of test_adapter_ranks run."""
import copy
from unittest import mock

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper
from mmdeepkd.losses.diffkd import Draws, KnowledgeDiffusion
from tests.helpers import distillers
from tests.helpers.batches import detection_batch
from tests.helpers.classifiers import image_batch, make_distiller, resnet
from tests.helpers.detectors import faster_rcnn

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
DETECTOR = 'detector'
DETECTOR_LOSSES = [
    dict(type='mmdeepkd.DeepKDLoss', base='dkd'),
    dict(type='mmdeepkd.DiffKDLoss'),
]


class FixedProposals(nn.Module):
    """An RPN that is trained, and proposes the same boxes in every image.

    Its own are chosen by scores that are nearly equal, and mmcv's NMS takes
    no double precision.
    """

    def __init__(self, rpn_head):
        super().__init__()
        self.rpn_head = rpn_head

    def loss_and_predict(self, x, samples, proposal_cfg):
        corner = torch.arange(0, 32, 4, dtype=x[0].dtype).view(-1, 1)
        boxes = torch.cat([corner, corner, corner + 24, corner + 30], 1)
        return self.rpn_head.loss(x, samples), [
            InstanceData(bboxes=boxes.clone()) for _ in samples]


def counted_alike():
    """A Faster R-CNN with as many anchors and RoIs in each image's losses.

    Anchors are positive or negative, none is ignored, and nothing is left
    out: so the samplers draw nothing, and the number that a loss is divided
    by is that of the other half of the batch.
    """
    config = faster_rcnn(norm_eval=True)
    rpn, rcnn = (config['train_cfg'][name] for name in ('rpn', 'rcnn'))
    rpn['assigner'].update(pos_iou_thr=0.5, neg_iou_thr=0.5)
    for part in (rpn, rcnn):
        part['sampler'].update(num=10000, pos_fraction=1.0)
    return config


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
        name: Of the wrapper, or DETECTOR.
        statistics: Whether BatchNorm takes them of its process's batch, which
            is not that of another number of processes.
    """
    if name == DETECTOR:
        model = distillers.make_distiller(
            folder, counted_alike(), faster_rcnn(width=6, channels=6),
            losses=DETECTOR_LOSSES)
        model.student.rpn_head = FixedProposals(model.student.rpn_head)
    else:
        model = make_distiller(
            folder, resnet(norm_eval=not statistics), resnet(width=6),
            losses=LOSSES)
    model.double().train()
    if not statistics:
        model.distill.eval()
    # Long steps magnify what is rounded to float32 in a detector.
    lr = 0.005 if name == DETECTOR else 0.05
    sgd = SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=0.01)
    options = WRAPPERS['own momentum' if name == DETECTOR else name]
    return model, (OptimWrapper(sgd) if options is None else
                   DeepKDOptimWrapper(sgd, **options))


def part(name, step, rank=None):
    """Half a batch, or the whole."""
    make, half = (detection_batch, 2) if name == DETECTOR else (image_batch, 4)
    batch = make(step, images=2 * half)
    rows = slice(None) if rank is None else slice(
        half * rank, half * rank + half)
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


def train(model, wrapper, name, rank):
    with mock.patch.object(KnowledgeDiffusion, 'draws_for',
                           draws_of_the_sample):
        for step in range(STEPS):
            model.train_step(part(name, step, rank), wrapper)


def train_alone(folder, name, rank=None):
    """Train in one process, on the whole or on one half."""
    model, wrapper = build(folder, name, statistics=False)
    train(model, wrapper, name, rank)
    return result(model, wrapper)


def train_rank(rank, folder, name):
    model, wrapper = build(folder, name, statistics=False)
    train(MMDistributedDataParallel(model, broadcast_buffers=False), wrapper,
          name, rank)
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
            ddp.train_step(part('real', step, rank), wrapper)
    return dict(result(model, wrapper), draws=seen)


def run_all(rank, folder):
    """Run everything in one process: starting it is what takes long."""
    folder = folder / str(rank)
    folder.mkdir()
    return dict({name: train_rank(rank, folder, name)
                 for name in (*WRAPPERS, DETECTOR)},
                real=train_as_it_is(rank, folder))
