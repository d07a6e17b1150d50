"""The samples that the loss is taken on: fixed, with their ground truth."""
import copy
from typing import Any, Dict, List

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope

from tools.analysis.landscape_steps.randomness import (
    own_randomness,
    seed_all,
)
from tools.common import DOWNLOADED, check_datasets

Batch = Dict[str, Any]


def load_batches(cfg: Config, split: str, count: int) -> List[Batch]:
    """Load samples, spread evenly over a set, in batches as in training.

    Args:
        cfg: Config of the run.
        split: ``'val'`` or ``'train'``: whose data and pipeline. What is
            random in the pipeline of training is drawn once, with a fixed
            seed.
        count: How many; fewer where the set is smaller.

    Raises:
        SystemExit: The data are not there.
        ValueError: The config has no such data, they have no labels, or
            several views.
    """
    key = f'{split}_dataloader'
    if not cfg.get(key):
        raise ValueError(f'{cfg.filename} has no {key}: give --split '
                         f'{"train" if split == "val" else "val"}.')
    loader = copy.deepcopy(cfg[key])
    for dataset in _leaves(loader.dataset):
        if str(dataset.type).split('.')[-1] in DOWNLOADED:
            dataset.download = False
        annotations_first(dataset)
    check_datasets(cfg, [key])
    samples = _draw(loader.dataset, cfg.get('default_scope'), count)
    if not samples:
        raise ValueError(f'there are no samples: --samples is {count}, which '
                         f'must be above 0, or the data of {key} are empty.')
    if isinstance(samples[0]['inputs'], list):
        raise ValueError(
            f'{key} makes several views of an image, and the student alone '
            'has no loss of them: give --split val.')
    if not any(map(_labelled, samples)):
        raise ValueError(
            f'the samples of {key} have no ground truth after its pipeline: '
            "add dict(type='LoadAnnotations', with_bbox=True) for boxes, or "
            'give --split train.')
    size = (cfg.get('train_dataloader') or loader).get('batch_size', 1)
    return [pseudo_collate(samples[start:start + size])
            for start in range(0, len(samples), size)]


def annotations_first(dataset: Any) -> None:
    """Let a pipeline load its boxes before it resizes the image.

    mmdet's pipelines of validation load them after: metrics want them in the
    image as it was, a loss in the image that the model sees.

    Args:
        dataset: Config of a data set; changed in place.
    """
    steps = dataset.get('pipeline') or []
    last = [step for step in steps if _kind(step) == 'LoadAnnotations']
    if last and steps[0] not in last:
        others = [step for step in steps if step not in last]
        dataset.pipeline = others[:1] + last + others[1:]


def _draw(dataset: Any, scope: Any, count: int) -> List[Batch]:
    with own_randomness(), DefaultScope.overwrite_default_scope(scope):
        seed_all(0)
        built = DATASETS.build(dataset)
        total = len(built)
        count = max(0, min(count, total))
        return [built[i * total // count] for i in range(count)]


def _kind(step: Any) -> str:
    return str(step['type']).split('.')[-1]


def _leaves(dataset: Any) -> List[Any]:
    inner = ([dataset['dataset']] if 'dataset' in dataset else
             dataset.get('datasets', []))
    return [leaf for each in inner for leaf in _leaves(each)] or [dataset]


def _labelled(sample: Batch) -> bool:
    """Return whether a sample of mmpretrain or mmdet has ground truth."""
    given = sample['data_samples']
    return 'gt_label' in given or 'gt_score' in given or (
        'gt_instances' in given and len(given.gt_instances) > 0)
