"""One pass of detectors over their validation set: AP by class, and boxes."""
import contextlib
import io
import logging
import math
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from tools.common import missing_paths
from tools.demo_steps.detecting import confident
from tools.demo_steps.pictures import Detection

from .models import Detector, coco_metrics

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


class Scene(NamedTuple):
    """A validation image and what is on it."""

    number: int
    pixels: np.ndarray
    truth: List[Detection]


def check_data(cfg: Config) -> None:
    """Raise FileNotFoundError if the validation set is not there."""
    for key, path in missing_paths(cfg.val_dataloader.dataset,
                                   'val_dataloader.dataset'):
        raise FileNotFoundError(
            f'the validation set is not there: {path} ({key}, relative to '
            'the folder that the report is made in).')


def same_data(first: Config, second: Config) -> bool:
    """Whether two runs are validated on the same annotations."""
    def described(cfg: Config) -> list:
        return [cfg.val_dataloader.dataset.get(key) for key in (
            'type', 'data_root', 'ann_file', 'data_prefix', 'metainfo')]

    return described(first) == described(second)


def load_scenes(cfg: Config, count: int) -> List[Scene]:
    """Load validation images with boxes, spread evenly over the set."""
    with _scope(cfg), _quiet():
        dataset = _loader(cfg).dataset
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
def detect(detector: Detector, wanted: Sequence[int], say: Say) -> Found:
    """Run a detector over its validation set.

    Args:
        detector: What to run.
        wanted: Numbers of the images whose detections are kept.
        say: Told how far it is.

    Raises:
        ValueError, RuntimeError, OSError: Its weights are not there, or not
            its own.
    """
    cfg = detector.cfg
    with _scope(cfg):
        with _quiet():
            model = detector.build().to(get_device()).eval()
            loader = _loader(cfg)
            evaluator = Evaluator(list(map(_classwise, coco_metrics(cfg))))
        names = loader.dataset.metainfo['classes']
        evaluator.dataset_meta = loader.dataset.metainfo
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
        with _quiet():
            metrics = evaluator.evaluate(total)
    return Found(detector.name, detector.kind,
                 100 * metrics.get('coco/bbox_mAP', 0.0),
                 _by_class(metrics, names), boxes)


def _by_class(metrics: Dict[str, float],
              names: Sequence[str]) -> Dict[str, float]:
    # A detector that finds nothing at all gets no metrics from mmdet.
    missing = math.nan if metrics else 0.0
    return {name: 100 * float(metrics.get(f'coco/{name}_precision', missing))
            for name in names}


def _classwise(metric: Any) -> Dict[str, Any]:
    return dict(metric, metric='bbox', classwise=True, prefix='coco',
                format_only=False, outfile_prefix=None)


def _loader(cfg: Config) -> DataLoader:
    return Runner.build_dataloader(cfg.val_dataloader, seed=0)


def _scope(cfg: Config) -> Any:
    return DefaultScope.overwrite_default_scope(
        cfg.get('default_scope') or 'mmdet')


@contextlib.contextmanager
def _quiet() -> Any:
    """Silence the tables that mmdet and pycocotools print."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
