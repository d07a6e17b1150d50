"""Distillers over tiny detectors."""
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope

import mmdeepkd.registry  # noqa: F401


def build_detector(config):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(ConfigDict(config))


def write_teacher(config, path, seed=1):
    """Save random weights of a detector, as a training would."""
    torch.manual_seed(seed)
    model = build_detector(config)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


class NoProposals(torch.nn.Module):
    """Stands for an RPN that found nothing."""

    def __init__(self, rpn_head):
        super().__init__()
        self.rpn_head = rpn_head

    def loss_and_predict(self, x, samples, proposal_cfg):
        losses, proposals = self.rpn_head.loss_and_predict(
            x, samples, proposal_cfg=proposal_cfg)
        return losses, [p[:0] for p in proposals]


def distiller_config(student, teacher, checkpoint, **kwargs):
    kwargs.setdefault('losses', dict(type='mmdeepkd.DeepKDLoss', base='dkd'))
    return dict(
        type='mmdeepkd.DetectorDistiller',
        student=student,
        teacher=teacher,
        teacher_checkpoint=checkpoint,
        **kwargs)


def make_distiller(folder, student, teacher, seed=0, **kwargs):
    """Build a distiller with initialised weights over a random teacher."""
    checkpoint = write_teacher(teacher, folder / 'teacher.pth')
    torch.manual_seed(seed)
    distiller = build_detector(
        distiller_config(student, teacher, checkpoint, **kwargs))
    distiller.init_weights()
    return distiller
