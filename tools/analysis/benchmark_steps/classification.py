"""Steps of a classifier: plain, with KD, DeepKD as released, and ours."""
from functools import partial
from pathlib import Path
from typing import Any, Dict, Type

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from .baselines import kd_loss, released_losses
from .comparison import Arm, Plan, compare
from .nets import Pair
from .ours import Batched, Ours
from .steps import Lap, OneBackward, ThreeBackwards
from .variants import EXACT, HALF, Variant, speedups

CONFIG = 'configs/cifar100/deepkd_resnet32x4_resnet8x4.py'
SMOKE_CONFIG = 'configs/digits100/deepkd_resnet8w32_resnet8w4.py'
CLASSES = 100
# What DynamicTopKHook takes for its middle phase, of 100 classes.
TOPK = 40

VARIANTS = {
    'ours': Variant('ours, exact', speedups(), detailed=True),
    'bf16': Variant('ours, teacher in bf16', speedups(amp='bf16'), HALF,
                    detailed=True),
    'compiled': Variant('ours, teacher compiled', speedups(compile=True)),
    'no fold_bn': Variant('ours without fold_bn', speedups(fold_bn=False)),
    'teacher NCHW': Variant('ours, teacher not in channels_last',
                            speedups(channels_last=False)),
    'student NCHW': Variant('ours, student not in channels_last',
                            speedups(student=False)),
    'no speedup': Variant('ours without any of these', {}, detailed=True),
    'batched': Variant('ours with is_grads_batched (rejected)', speedups(),
                       kind=Batched, detailed=True),
}


def run(plan: Plan, folder: Path) -> Dict[str, Any]:
    """Compare all steps; see :func:`compare` for what is returned.

    Args:
        plan: How much is measured.
        folder: For the teacher's checkpoint.
    """
    size = 4 if plan.smoke else 64
    config = SMOKE_CONFIG if plan.smoke else CONFIG
    pair = make_pair(config, plan.device, folder)
    batch = image_batch(size)
    arms = baselines(pair, batch)
    for name, variant in VARIANTS.items():
        # Compiling takes longer than all the rest of a smoke run.
        if plan.smoke and name == 'compiled':
            continue
        arms[name] = Arm(variant.title,
                         ours(pair, batch, variant.options, variant.kind),
                         variant.tolerance, variant.detailed)
    return dict(
        setting=f'{config}, batch {size} of 32 x 32 '
        f'images, {CLASSES} classes, temperature 4, K {TOPK}',
        arms=compare(arms, 'three', plan))


def make_pair(config: str, device: str, folder: Path) -> Pair:
    """Return teacher and student of a config."""
    images = torch.randn(64, 3, 32, 32)
    return Pair(config, 'mmpretrain', device, folder,
                settle=lambda model: model.extract_feat(images),
                classifier=lambda model: model.head.fc)


def image_batch(size: int) -> Dict[str, Any]:
    """Return random images and labels as mmpretrain's loader gives them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (size, ), generator=generator)
    return dict(
        inputs=torch.randint(0, 256, (size, 3, 32, 32), dtype=torch.uint8,
                             generator=generator),
        data_samples=[
            DataSample(metainfo=dict(img_shape=(32, 32))).set_gt_label(label)
            for label in labels.tolist()
        ])


def ours(pair: Pair, batch: Dict[str, Any], options: Dict[str, Any],
         kind: Type[Ours] = Ours) -> Ours:
    """Return our step over a distiller of its own."""
    distiller = pair.distiller(**options)
    distiller.losses[0].topk = TOPK
    return kind(distiller, lambda: batch, **pair.optimizer)


def baselines(pair: Pair, batch: Dict[str, Any]) -> Dict[str, Arm]:
    """Return the steps that ours is compared with."""
    chosen = pair.optimizer
    delta = chosen.pop('delta')

    def prepared(forward: Any) -> Any:
        # Only its two networks are used, and the weights it puts on losses.
        distiller = pair.distiller()
        return (partial(forward, distiller, batch),
                list(distiller.student.parameters()))

    return {
        'plain': Arm('student alone, torch SGD',
                     OneBackward(*prepared(_plain), **chosen), EXACT),
        'KD': Arm('plain KD, torch SGD', OneBackward(*prepared(_kd), **chosen),
                  EXACT),
        'three': Arm('three-backward DeepKD',
                     ThreeBackwards(*prepared(_deepkd), delta=delta,
                                    **chosen), 0.0),
    }


def _plain(distiller: nn.Module, batch: Dict[str, Any],
           lap: Lap) -> Dict[str, Tensor]:
    data = distiller.data_preprocessor(batch, training=True)
    loss = F.cross_entropy(distiller.student(data['inputs']), _target(data))
    lap('student forward, its losses')
    return dict(task=distiller.task_weight * loss)


def _logits(distiller: nn.Module, data: Dict[str, Any], lap: Lap) -> Any:
    student = distiller.student(data['inputs'])
    lap('student forward, its losses')
    with torch.no_grad():
        teacher = distiller.teacher(data['inputs'])
    lap('teacher forward')
    return student, teacher, _target(data)


def _kd(distiller: nn.Module, batch: Dict[str, Any],
        lap: Lap) -> Dict[str, Tensor]:
    data = distiller.data_preprocessor(batch, training=True)
    student, teacher, target = _logits(distiller, data, lap)
    losses = dict(
        task=distiller.task_weight * F.cross_entropy(student, target),
        distill=kd_loss(student, teacher, distiller.losses[0].temperature))
    lap('distillation losses')
    return losses


def _deepkd(distiller: nn.Module, batch: Dict[str, Any],
            lap: Lap) -> Dict[str, Tensor]:
    data = distiller.data_preprocessor(batch, training=True)
    student, teacher, target = _logits(distiller, data, lap)
    task = distiller.task_weight * F.cross_entropy(student, target)
    loss = distiller.losses[0]
    losses = released_losses(student, teacher, target, loss.temperature, TOPK,
                             loss.base, (loss.alpha, loss.beta))
    lap('distillation losses')
    return dict(losses, task=task)


def _target(data: Dict[str, Any]) -> Tensor:
    return torch.cat([sample.gt_label for sample in data['data_samples']])
