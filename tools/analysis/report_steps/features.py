"""Features of teacher and student on images, out of a run's checkpoint."""
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdeepkd.engine.dataset_classes import plain_datasets
from mmdeepkd.losses.diffkd import RandomDraws
from tools.common import quiet

from .feature_models import load_distiller
from .models import check_data
from .runs import Run

# Of the noise: the same in every report.
_SEED = 0


class PlaceFeatures(NamedTuple):
    """What is compared at one place, on one image.

    Attributes:
        shape: Channels, height and width.
        gamma: The student's share of what is denoised.
        mse_student: Mean squared error of the student's feature against the
            teacher's, in the same space.
        mse_steps: Of what the diffusion steps make of it.
        mse_denoised: Of the projection of that, which the loss compares.
        maps: (height, width) of teacher, student and denoised student: the
            mean absolute value over the channels. Empty for logits.
    """

    shape: Tuple[int, ...]
    gamma: float
    mse_student: float
    mse_steps: float
    mse_denoised: float
    maps: List[np.ndarray]


class ImageFeatures(NamedTuple):
    """An image (H, W, 3) as the student sees it, and its features."""

    number: int
    pixels: np.ndarray
    places: Dict[str, PlaceFeatures]


def features_of(run: Run, count: int) -> List[ImageFeatures]:
    """Run teacher, student and diffusion model on validation images.

    Args:
        run: With a config that distils features, and a checkpoint.
        count: How many images, spread evenly over the set; of a detector
            only such with boxes.

    Raises:
        FileNotFoundError: The validation set is not there.
        ValueError: The checkpoint is not that of this distillation.
    """
    check_data(run.cfg)
    with DefaultScope.overwrite_default_scope(
            run.cfg.get('default_scope')), quiet():
        model = load_distiller(run.cfg, str(run.checkpoint)).to(get_device())
        _draw_alike(model)
        loader = Runner.build_dataloader(run.cfg.val_dataloader, seed=_SEED)
        return [_on_image(model, loader, number)
                for number in choose(loader.dataset, count)]


def choose(dataset: Dataset, count: int) -> List[int]:
    """Return the numbers of some images, spread evenly over a data set.

    Args:
        dataset: Images without boxes are left out where it has boxes.
        count: How many at most.
    """
    usable = [i for i in range(len(dataset))
              if dataset.get_data_info(i).get('instances', True)]
    count = min(count, len(usable))
    return [usable[i * len(usable) // count] for i in range(count)]


def _draw_alike(model: nn.Module) -> None:
    """Let adapters of any length of training draw the same noise."""
    for module in model.modules():
        if isinstance(module, RandomDraws):
            module.num_draws = 0


@torch.no_grad()
def _on_image(model: nn.Module, loader: DataLoader,
              number: int) -> ImageFeatures:
    batch = loader.collate_fn([loader.dataset[number]])
    image = batch['inputs'][0]
    data = model.data_preprocessor(batch, training=False)
    # The samplers of a detector's loss draw too.
    with torch.random.fork_rng(devices=[]), _recording(model) as found:
        torch.manual_seed(_SEED)
        model(**data, mode='loss')
    return ImageFeatures(
        number, _pixels(image, data['inputs'].shape[-2:],
                        _is_bgr(model, loader.dataset)),
        {name: _place(output) for name, output in found.items()})


@contextmanager
def _recording(model: nn.Module) -> Iterator[Dict[str, Any]]:
    """Collect what every adapter gives."""
    found: Dict[str, Any] = {}
    handles = [
        adapter.register_forward_hook(
            lambda module, args, output, name=name: found.update({
                name: output}))
        for name, adapter in _adapters(model).items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _adapters(model: nn.Module) -> Dict[str, nn.Module]:
    """Return the adapters by place, of several losses by both."""
    losses = model.distill.items()
    return {
        place if len(losses) == 1 else f'{name} {place}': adapter
        for name, places in losses for place, adapter in places.items()}


def _place(output: Any) -> PlaceFeatures:
    target, student, steps, denoised = (
        each[0].float().cpu() for each in (output.target, output.raw,
                                           output.denoised, output.refined))
    return PlaceFeatures(
        tuple(target.shape), float(output.gamma.flatten()[0]),
        *(float((each - target).square().mean())
          for each in (student, steps, denoised)),
        [each.abs().mean(0).numpy() for each in (target, student, denoised)]
        if target[0].numel() > 1 else [])


def _is_bgr(model: nn.Module, dataset: Dataset) -> bool:
    """Whether images are loaded as BGR; those of CIFAR are RGB."""
    preprocessor = model.data_preprocessor
    # mmpretrain's name, and MMEngine's.
    converts = any(getattr(preprocessor, name, False)
                   for name in ('to_rgb', '_channel_conversion'))
    # Networks that read BGR get it as loaded.
    return converts or any(
        isinstance(step, LoadImageFromFile)
        for part in plain_datasets(dataset)
        for step in getattr(getattr(part, 'pipeline', None), 'transforms', [])
    )


def _pixels(image: Tensor, size: Sequence[int], bgr: bool) -> np.ndarray:
    """Return an image as loaded, in RGB, as padded for the batch."""
    if bgr:
        image = image.flip(0)
    pixels = np.zeros((*size, 3), np.uint8)
    height, width = image.shape[-2:]
    pixels[:height, :width] = image.permute(1, 2, 0).byte().cpu()
    return pixels
