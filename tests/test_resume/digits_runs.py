"""The shipped digits configs, shrunk to seconds and made to draw."""
import torch
from mmengine.config import Config

import mmdeepkd
from mmdeepkd.datasets import make_digits_detection
from mmdeepkd.distillers import resolve_model_config
from tests.helpers.classifiers import build_classifier
from tests.helpers.distillers import build_detector

EMA = dict(type='EMAHook', momentum=0.1, update_buffers=True)


def detection_config(folder, workers=0, iterations=None):
    """Six epochs of two iterations: real RoI sampler, random flips.

    Args:
        folder: Data and teacher go here.
        workers: Processes that load data.
        iterations: As many of them for an epoch in MMEngine's loop by
            iteration; None for the loop by epoch.
    """
    make_digits_detection(folder / 'data', num_train=4, num_val=2)
    cfg = Config.fromfile(
        mmdeepkd.config_path('digits/deepkd_frcnn_r18w32_r18w16.py'))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = f'{folder / "data"}/'
    cfg.train_dataloader.batch_size = 2
    cfg.train_dataloader.dataset.pipeline.insert(
        -1, dict(type='mmdet.RandomFlip', prob=0.5))
    cfg.val_evaluator.ann_file = f'{folder / "data/annotations/val.json"}'
    cfg.model.teacher_checkpoint = _save_teacher(
        build_detector, cfg.model.teacher, folder)
    return _six_epochs(cfg, workers, iterations)


def classification_config(folder, workers=0, iterations=None):
    """Six epochs of four iterations: bf16, accumulation, EMA, flips."""
    cfg = Config.fromfile(
        mmdeepkd.config_path('digits100/deepkd_resnet8w32_resnet8w4.py'))
    cfg.train_dataloader.batch_size = 16
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.indices = list(range(0, 2000, 31))[:64]
    cfg.train_dataloader.dataset.pipeline.insert(
        0, dict(type='mmpretrain.RandomFlip', prob=0.5))
    cfg.optim_wrapper.update(
        type='mmdeepkd.AmpDeepKDOptimWrapper', accumulative_counts=2)
    cfg.model.teacher_checkpoint = _save_teacher(
        build_classifier, cfg.model.teacher, folder)
    cfg.custom_hooks = [
        dict(type='EMAHook', momentum=0.1, update_buffers=True)
    ]
    return _six_epochs(cfg, workers, iterations)


def _six_epochs(cfg, workers, iterations):
    cfg.train_dataloader.num_workers = workers
    checkpoint = cfg.default_hooks.checkpoint
    checkpoint.update(interval=3 * (iterations or 1))
    if iterations is None:
        cfg.train_cfg.update(max_epochs=6, val_interval=4)
        return cfg
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=6 * iterations,
        val_interval=4 * iterations)
    cfg.log_processor = dict(by_epoch=False)
    checkpoint.by_epoch = cfg.default_hooks.topk.by_epoch = False
    cfg.param_scheduler[1].update(by_epoch=False, convert_to_iter_based=False)
    return cfg


def _save_teacher(build, teacher, folder):
    torch.manual_seed(0)
    model = build(resolve_model_config(teacher, 'teacher'))
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), folder / 'teacher.pth')
    return str(folder / 'teacher.pth')
