"""What the two processes of test_two_processes run."""
import copy

import torch
from mmengine.model import MMDistributedDataParallel

from mmdeepkd.engine import DeepKDOptimWrapper
from tests.helpers import view_losses  # noqa: F401  (registers its loss)
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    image_batch,
    resnet,
)

STEPS = 3
IMAGES = 4


def build(checkpoint, accumulate=1):
    # Without batch statistics two halves equal the whole.
    student = resnet(norm_eval=True, pixels=dict(
        type='mmdeepkd.TwoViewDataPreprocessor'))
    torch.manual_seed(0)
    distiller = build_classifier(distiller_config(
        student, resnet(), checkpoint,
        losses=dict(type='mmdeepkd.WeightedViewsLoss')))
    distiller.init_weights()
    wrapper = DeepKDOptimWrapper(
        torch.optim.SGD(distiller.parameters(), lr=0.05, momentum=0.9),
        delta=0.05, accumulative_counts=accumulate)
    return distiller.train(), wrapper


def half(step, part):
    """Weak and strong views of half a batch."""
    batches = [image_batch(10 * step + seed, IMAGES) for seed in (0, 5)]
    chosen = slice(part * IMAGES // 2, (part + 1) * IMAGES // 2)
    return copy.deepcopy(dict(
        inputs=[batch['inputs'][chosen] for batch in batches],
        data_samples=batches[0]['data_samples'][chosen]))


def train_rank(rank, checkpoint):
    distiller, wrapper = build(checkpoint)
    model = MMDistributedDataParallel(distiller)
    model.train()
    for step in range(STEPS):
        model.train_step(half(step, rank), wrapper)
    return dict(distiller.state_dict())


def train_alone(checkpoint):
    distiller, wrapper = build(checkpoint, accumulate=2)
    for step in range(STEPS):
        for part in range(2):
            distiller.train_step(half(step, part), wrapper)
    return dict(distiller.state_dict())
