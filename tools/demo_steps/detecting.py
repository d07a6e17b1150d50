"""Runs trained detectors on validation scenes, through plain mmdet."""
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import mmcv
import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmengine.runner import find_latest_checkpoint
from mmengine.structures import InstanceData
from torch import nn

# Imported for its effect: MMEngine then reads checkpoints safely on every
# torch.
import mmdeepkd.checkpoints  # noqa: F401

from .pictures import Box, Detection
from .training import ROOT, Job

_MIN_SCORE = 0.5


class Scenes(NamedTuple):
    """Validation scenes and what is on them."""

    paths: List[str]
    images: List[np.ndarray]
    truth: List[List[Detection]]


def load_detector(job: Job, work_dir: Path) -> nn.Module:
    """Build the plain detector and read what its training saved last."""
    return init_detector(
        str(ROOT / job.plain_config),
        find_latest_checkpoint(str(work_dir)),
        palette='random',
        device='cpu')


def count_parameters(detector: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(p.numel() for p in detector.parameters())


def load_scenes(data: Path, count: int, min_boxes: int = 3) -> Scenes:
    """Load the first validation scenes with at least ``min_boxes`` digits."""
    coco = json.loads((data / 'annotations' / 'val.json').read_text())
    names = {c['id']: c['name'] for c in coco['categories']}
    truth: Dict[int, List[Detection]] = {i['id']: [] for i in coco['images']}
    for annotation in coco['annotations']:
        category = annotation['category_id']
        truth[annotation['image_id']].append(
            Detection(
                _corners(*annotation['bbox']), names[category], category - 1))
    chosen = [i for i in coco['images'] if len(truth[i['id']]) >= min_boxes]
    paths = [str(data / 'val' / i['file_name']) for i in chosen[:count]]
    return Scenes(paths, [mmcv.imread(path) for path in paths],
                  [truth[i['id']] for i in chosen[:count]])


def detect(detector: nn.Module,
           paths: Sequence[str]) -> List[List[Detection]]:
    """Return the confident detections on every image."""
    names = detector.dataset_meta['classes']
    return [confident(result.pred_instances, names)
            for result in inference_detector(detector, list(paths))]


def confident(found: InstanceData,
              names: Sequence[str]) -> List[Detection]:
    """Return what a detector is sure of on an image, to be drawn."""
    found = found[found.scores >= _MIN_SCORE]
    return [
        Detection(tuple(box), f'{names[label]} {score:.2f}', label)
        for box, score, label in zip(found.bboxes.tolist(),
                                     found.scores.tolist(),
                                     found.labels.tolist())
    ]


def _corners(x: float, y: float, width: float, height: float) -> Box:
    return x, y, x + width, y + height
