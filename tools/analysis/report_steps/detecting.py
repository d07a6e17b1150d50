"""One pass of detectors over their validation set: AP by class, and boxes."""
import logging
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tools.common import quiet
from tools.demo_steps.detecting import confident
from tools.demo_steps.pictures import Detection

from .models import Detector, coco_metric

Say = Callable[[str], None]


class Found(NamedTuple):
    """What a detector found."""

    name: str
    kind: str
    box_map: float
    # In per cent; NaN for a class that no box of the set has.
    by_class: Dict[str, float]
    # Detections by the number of the image in the set.
    boxes: Dict[int, List[Detection]]
    # Whether there is not one box on any image.
    nothing: bool = False


class Scene(NamedTuple):
    """A validation image and what is on it."""

    number: int
    pixels: np.ndarray
    truth: List[Detection]


class Loaded(NamedTuple):
    """A detector that can be run."""

    detector: Detector
    model: nn.Module
    loader: DataLoader
    evaluator: Evaluator


def load_data(cfg: Config) -> Dataset:
    """Build the validation set."""
    with _scope(cfg), quiet():
        return _loader(cfg).dataset


def load(detector: Detector) -> Loaded:
    """Build a detector and all that its validation needs."""
    cfg = detector.cfg
    with _scope(cfg), quiet():
        model = detector.build().to(get_device()).eval()
        loader = _loader(cfg)
        evaluator = Evaluator([_classwise(coco_metric(cfg))])
    evaluator.dataset_meta = loader.dataset.metainfo
    return Loaded(detector, model, loader, evaluator)


def contents(dataset: Dataset) -> Tuple[List[str], List[tuple]]:
    """Return what makes detectors comparable that are run over a data set.

    Two configs may spell the same data differently, and two data sets may
    number their images alike.

    Returns:
        The names of the classes; of every image its number, its file name
        and its boxes with their classes.
    """
    infos = map(dataset.get_data_info, range(len(dataset)))
    return list(dataset.metainfo['classes']), [
        (info['img_id'], Path(info['img_path']).name,
         [(each['bbox_label'], *each['bbox'])
          for each in info.get('instances') or []]) for info in infos]


def load_scenes(dataset: Dataset, count: int) -> List[Scene]:
    """Load validation images with boxes, spread evenly over the set."""
    names = dataset.metainfo['classes']
    usable = [i for i in range(len(dataset))
              if dataset.get_data_info(i).get('instances')]
    count = min(count, len(usable))
    return [_scene(dataset, usable[i * len(usable) // count], names)
            for i in range(count)]


def _scene(dataset: Dataset, number: int, names: Sequence[str]) -> Scene:
    info = dataset.get_data_info(number)
    pixels = mmcv.imread(info['img_path'], channel_order='rgb')
    truth = [Detection(tuple(each['bbox']), names[each['bbox_label']],
                       each['bbox_label'])
             for each in info['instances'] if not each.get('ignore_flag')]
    return Scene(number, pixels, truth)


@torch.no_grad()
def detect(loaded: Loaded, wanted: Sequence[int], say: Say) -> Found:
    """Run a detector over its validation set.

    Args:
        loaded: What to run.
        wanted: Numbers of the images whose detections are kept.
        say: Told how far it is.

    Raises:
        OSError: An image is not there.
        RuntimeError: The device has too little memory, for example.
    """
    detector, model, loader, evaluator = loaded
    with _scope(detector.cfg):
        names = loader.dataset.metainfo['classes']
        boxes: Dict[int, List[Detection]] = {}
        done, total = 0, len(loader.dataset)
        for number, batch in enumerate(loader, 1):
            results = model.val_step(batch)
            evaluator.process(results, batch)
            boxes.update({
                i: confident(result.pred_instances, names)
                for i, result in enumerate(results, done) if i in wanted})
            done += len(results)
            if done == total or number % (len(loader) // 5 + 1) == 0:
                say(f'  {detector.name}: {done}/{total} images')
        # mmdet calls it an error to find nothing, and gives no metrics.
        with quiet(logging.CRITICAL):
            metrics = evaluator.evaluate(total)
    return Found(detector.name, detector.kind,
                 100 * metrics['coco/bbox_mAP'] if metrics else 0.0,
                 _by_class(metrics, names), boxes, not metrics)


def _by_class(metrics: Dict[str, float],
              names: Sequence[str]) -> Dict[str, float]:
    missing = math.nan if metrics else 0.0
    return {name: 100 * float(metrics.get(f'coco/{name}_precision', missing))
            for name in names}


def _classwise(metric: Any) -> Dict[str, Any]:
    return dict(metric, metric='bbox', metric_items=None, classwise=True,
                prefix='coco', format_only=False, outfile_prefix=None)


def _loader(cfg: Config) -> DataLoader:
    return Runner.build_dataloader(cfg.val_dataloader, seed=0)


def _scope(cfg: Config) -> Any:
    return DefaultScope.overwrite_default_scope(
        cfg.get('default_scope') or 'mmdet')
