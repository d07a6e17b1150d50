"""The digits runs of test_resume, with losses that train adapters."""
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.one_stage import retinanet

from .digits_runs import EMA, classification_config, detection_config

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
LOGITS = dict(type='mmdeepkd.DiffKDLogitsLoss')
OFFSETS = dict(task=0.05, target=-0.05, non_target=0.05, feature=0.)


def one_stage_detector(folder):
    """DiffKD of a RetinaNet, by iteration, under MMEngine's own wrapper."""
    cfg = detection_config(folder, iterations=2)
    # There is no loss with a K, and there are no streams to measure.
    for name in ('topk', 'gsnr'):
        del cfg.default_hooks[name]
    student, teacher = retinanet(10), retinanet(10, width=6)
    cfg.model = distiller_config(
        student, teacher, write_teacher(teacher, folder / 'retina.pth'),
        losses=DIFFKD)
    cfg.optim_wrapper = dict(
        optimizer=cfg.optim_wrapper.optimizer, clip_grad=dict(max_norm=10.))
    return cfg


def two_stage_detector(folder):
    """DeepKD and DiffKD, each with its momenta, averaged by EMAHook."""
    cfg = detection_config(folder)
    cfg.model.losses = [cfg.model.losses, DIFFKD]
    _own_momentum(cfg)
    cfg.custom_hooks = [EMA]
    return cfg


def classifier_of_both(folder):
    """DeepKD, and DiffKD of maps and logits, each with its momenta."""
    cfg = classification_config(folder, iterations=4)
    cfg.model.losses = [cfg.model.losses, DIFFKD, LOGITS]
    cfg.optim_wrapper.update(
        type='mmdeepkd.DeepKDOptimWrapper', accumulative_counts=1)
    _own_momentum(cfg)
    cfg.custom_hooks = []
    return cfg


def classifier_in_bf16(folder):
    """DiffKD alone, with bf16, accumulation, EMA and a warm-up."""
    cfg = classification_config(folder)
    cfg.model.losses = DIFFKD
    del cfg.default_hooks['topk']
    cfg.default_hooks.warmup = dict(type='mmdeepkd.WarmupHook', epochs=4)
    return cfg


def _own_momentum(cfg):
    cfg.optim_wrapper.update(delta=None, offsets=OFFSETS)
