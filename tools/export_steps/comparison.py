"""Whether an exported file predicts what its run does."""
import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from common import DOWNLOADED, missing_paths
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import load_checkpoint
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import Tensor, nn

from mmdeepkd.checkpoints import few

from .evaluated import build_model

_SEED = 0
# (height, width) of a random image that is read from a file; of one that a
# data set holds in memory, as CIFAR's do.
_FROM_FILE, _IN_MEMORY = (480, 640), (32, 32)


class ComparisonError(Exception):
    """The exported file predicts something else."""


def load_samples(cfg: Config, count: int) -> Tuple[List[Dict], str]:
    """Return some prepared validation images and what they are.

    Args:
        cfg: Config of the run, or of the student.
        count: How many, spread evenly over the set.

    Returns:
        The samples as the pipeline gives them, or, where the validation set
        is not there, a random image through its pipeline.
    """
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    if not loader:
        raise ComparisonError('the config has no val_dataloader, so there is '
                              'nothing to predict on: leave --check out.')
    dataset = copy.deepcopy(loader.dataset)
    if str(dataset.type).split('.')[-1] in DOWNLOADED:
        dataset.download = False
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        if any(missing_paths(dataset, 'dataset')):
            return [_random_sample(dataset)], 'a random image'
        built = DATASETS.build(dataset)
        total = len(built)
        count = min(count, total)
        samples = [built[i * total // count] for i in range(count)]
    return samples, f'{count} validation images'


def compare(before: nn.Module, cfg: Config, text: str, file: Path,
            images: int) -> str:
    """Compare the student of a run with what an exported config and file make.

    Args:
        before: The student of the run.
        cfg: Config of the run, whose pipeline ``before`` reads images with.
        text: The exported config; its own pipeline is used with it.
        file: The exported weights.
        images: Number of images to predict on.

    Returns:
        What was compared.

    Raises:
        ComparisonError: A tensor of the models, of their predictions or of
            their logits differs in any bit.
    """
    plain = Config.fromstring(text, '.py')
    after = build_model(plain)
    load_checkpoint(after, str(file), map_location='cpu', strict=True)
    _compare_weights(before.state_dict(), after.state_dict())
    samples, what = load_samples(cfg, images)
    others, _ = load_samples(plain, images)
    compared = 0
    for number, pair in enumerate(zip(samples, others)):
        first, second = (list(_outputs(model, sample))
                         for model, sample in zip((before, after), pair))
        same = len(first) == len(second) and all(map(torch.equal, first,
                                                     second))
        if not same:
            raise ComparisonError(
                f'the exported student predicts something else than the '
                f'checkpoint, on image {number} of {len(samples)}: nothing '
                'was written; report it with the config.')
        compared += len(first)
    return (f'checked on {what}: {compared} tensors of predictions and logits '
            'are equal bit for bit')


def _compare_weights(before: Dict[str, Tensor],
                     after: Dict[str, Tensor]) -> None:
    # An untrained detector finds nothing, with these weights or with others.
    other = [key for key, value in after.items()
             if key not in before or not torch.equal(before[key], value)]
    if other:
        raise ComparisonError(
            f'{few(other, "of the exported tensors")} differ from what '
            'MMEngine loads from the checkpoint: nothing was written; report '
            'it with the config.')


@torch.no_grad()
def _outputs(model: nn.Module, sample: Dict) -> Iterator[Tensor]:
    """Yield all tensors that a model makes of an image."""
    data = pseudo_collate([copy.deepcopy(sample)])
    yield from _tensors(model.test_step(data))
    # Logits of every place too: an untrained detector finds nothing.
    data = pseudo_collate([copy.deepcopy(sample)])
    yield from _tensors(model(**model.data_preprocessor(data, False)))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, BaseDataElement):
        yield from _tensors([entry for _, entry in value.items()])
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry)


def _random_sample(dataset: Any) -> Dict:
    """Return a random image through the pipeline of a data set."""
    while 'pipeline' not in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    from_file = any('Load' in step['type'] for step in dataset.pipeline)
    size = _FROM_FILE if from_file else _IN_MEMORY
    pixels = np.random.RandomState(_SEED).randint(0, 256, (*size, 3), np.uint8)
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / 'random.png')
        Image.fromarray(pixels).save(path)
        return Compose(dataset.pipeline)(
            dict(img=pixels, img_path=path, img_id=0, img_shape=size,
                 ori_shape=size, gt_label=0, instances=[]))
