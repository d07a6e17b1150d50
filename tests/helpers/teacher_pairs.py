"""Detectors with a faster teacher, and the same without."""
import torch

from .batches import detection_batch
from .detectors import faster_rcnn
from .distillers import build_detector, distiller_config, write_teacher
from .lively import liven
from .training import distilled, loss_dict


def four_convs():
    """With convolutions and BatchNorms in the box head."""
    config = faster_rcnn()
    config['roi_head']['bbox_head'].update(
        type='mmdet.Shared4Conv1FCBBoxHead', conv_out_channels=8,
        norm_cfg=dict(type='BN'))
    return config


def pair(folder, teacher, student=None, losses=None, **speedup):
    """Build a distiller with the speed-up and one without."""
    common = {} if losses is None else dict(losses=losses)
    checkpoint = liven(
        write_teacher(teacher, folder / 'teacher.pth'))
    built = []
    for kwargs in (dict(teacher_speedup=speedup), {}):
        torch.manual_seed(0)
        distiller = build_detector(distiller_config(
            student or faster_rcnn(), teacher, checkpoint, **common,
            **kwargs))
        distiller.init_weights()
        built.append(distiller.train())
    return built


def losses_of(distiller, seed=0, **batch):
    """Return the losses of the distillation, without their graph."""
    torch.manual_seed(seed)
    return {name: loss.detach() for name, loss in distilled(
        loss_dict(distiller, detection_batch(**batch))).items()}
