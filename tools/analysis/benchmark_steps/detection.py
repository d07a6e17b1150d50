"""Steps of a detector: plain, DeepKD done step by step, and ours."""
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .comparison import Arm, Plan, compare
from .detection_losses import StepByStep, plain_losses, seeded
from .nets import Pair
from .ours import Ours
from .steps import OneBackward, ThreeBackwards
from .variants import HALF, Variant, speedups

CONFIG = 'configs/coco/deepkd_frcnn_r101_r18.py'
SMOKE_CONFIG = 'configs/digits/deepkd_frcnn_r18w32_r18w16.py'
# What DynamicTopKHook takes for its middle phase, of 81 and 11 columns.
TOPK = {80: 32, 10: 4}

TORCHVISION = {
    f'{side}.roi_head.bbox_roi_extractor.roi_layer.use_torchvision': True
    for side in ('student', 'teacher')
}
_FAST = speedups()
_HALF_TEACHER = speedups(amp='bf16')
# Rounding moves a box across a threshold of NMS or of the sampler now and
# then: another RoI is sampled, and the losses differ by more than rounding.
_SAMPLING = 2e-2
# The first is as the config has it, but for the student's channels_last.
VARIANTS = {
    'ours': Variant('ours, exact', _FAST, detailed=True),
    'bf16': Variant('ours, teacher in bf16', _HALF_TEACHER, HALF),
    'torchvision': Variant("ours, exact, torchvision's RoIAlign",
                           {**_FAST, **TORCHVISION}),
    'all': Variant("ours, bf16 and torchvision's RoIAlign",
                   {**_HALF_TEACHER, **TORCHVISION}, HALF, detailed=True),
    'student NCHW': Variant('ours, student not in channels_last',
                            speedups(student=False)),
    'no speedup': Variant('ours without any of these', {}, detailed=True),
}


class Scene(NamedTuple):
    """What is detected in.

    Attributes:
        config: The config, relative to the repository.
        size: Of the images, in pixels.
        boxes: In each of the two images.
        classes: Without background.
    """

    config: str
    size: int
    boxes: int
    classes: int


FULL = Scene(CONFIG, 320, 12, 80)
SMOKE = Scene(SMOKE_CONFIG, 64, 2, 10)


def run(plan: Plan, folder: Path) -> Dict[str, Any]:
    """Compare all steps; see :func:`compare` for what is returned.

    Args:
        plan: How much is measured.
        folder: For the teacher's checkpoint.
    """
    scene = SMOKE if plan.smoke else FULL
    pair = make_pair(scene, plan.device, folder)
    batch = detection_batch(scene)
    arms = baselines(pair, batch, scene)
    for name, variant in VARIANTS.items():
        arms[name] = Arm(variant.title,
                         ours(pair, batch, scene, variant.options),
                         max(variant.tolerance, _SAMPLING),
                         variant.detailed)
    rois = pair.config.model.student.train_cfg.rcnn.sampler.num
    # A step takes seconds: fewer rounds than where it takes one.
    plan = plan._replace(rounds=min(plan.rounds, 7))
    return dict(
        setting=f'{scene.config}, 2 x 3 x {scene.size} x {scene.size}, '
        f'{scene.boxes} boxes an image, up to {2 * rois} RoIs, '
        f'{scene.classes + 1} columns, K {TOPK[scene.classes]}',
        arms=compare(arms, 'three', plan, warm_up=1))


def make_pair(scene: Scene, device: str, folder: Path) -> Pair:
    """Return teacher and student of a config."""
    images = torch.randn(2, 3, scene.size, scene.size)
    return Pair(scene.config, 'mmdet', device, folder,
                settle=lambda model: model.extract_feat(images),
                classifier=lambda model: model.roi_head.bbox_head.fc_cls)


def detection_batch(scene: Scene) -> Dict[str, List[Any]]:
    """Return two random images as mmdet's loader gives them."""
    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for _ in range(2):
        inputs.append(torch.randint(
            0, 256, (3, scene.size, scene.size), dtype=torch.uint8,
            generator=generator))
        corner = torch.rand(scene.boxes, 2, generator=generator) * 0.5
        extent = torch.rand(scene.boxes, 2, generator=generator) * 0.4 + 0.1
        instances = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1) * scene.size,
            labels=torch.randint(scene.classes, (scene.boxes, ),
                                 generator=generator))
        samples.append(DetDataSample(
            gt_instances=instances,
            metainfo=dict(img_shape=(scene.size, ) * 2,
                          ori_shape=(scene.size, ) * 2,
                          scale_factor=(1., 1.))))
    return dict(inputs=inputs, data_samples=samples)


def ours(pair: Pair, batch: Dict[str, Any], scene: Scene,
         options: Dict[str, Any]) -> Ours:
    """Return our step over a distiller of its own."""
    distiller = pair.distiller(**options)
    distiller.losses[0].topk = TOPK[scene.classes]
    return Ours(distiller, lambda: seeded(batch), **pair.optimizer)


def baselines(pair: Pair, batch: Dict[str, Any],
              scene: Scene) -> Dict[str, Arm]:
    """Return the steps that ours is compared with."""
    chosen = pair.optimizer
    delta = chosen.pop('delta')

    def params(distiller: nn.Module) -> List[Tensor]:
        return [p for p in distiller.parameters() if p.requires_grad]

    def three(whole: bool) -> ThreeBackwards:
        distiller = pair.distiller()
        forward = StepByStep(distiller, batch, TOPK[scene.classes], whole)
        return ThreeBackwards(forward, params(distiller), delta=delta,
                              **chosen)

    plain = pair.distiller()
    return {
        'plain': Arm('student alone, torch SGD', OneBackward(
            partial(plain_losses, plain, batch), params(plain), **chosen),
            _SAMPLING),
        'three': Arm('three backwards, student head twice, '
                     "teacher's RPN and head", three(False), 0.0),
        'three, loss': Arm("the same with the teacher's whole loss()",
                           three(True), _SAMPLING, detailed=False),
    }
