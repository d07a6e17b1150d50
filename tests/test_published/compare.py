"""What a config of ours trains with, beside what was published."""
import copy
import functools
import inspect
import json
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS

from mmdeepkd.engine.decouple import resolve_offsets

from .rows import fields_of_row

COSINE = 'cosine(warmup 20 ep from 0.1x, min_lr 5e-05)'
#: In every DeepKD config with a mask: 'topk' as ours, as published, why.
DYNAMIC_TOPK = ('dynamic', None, 'the mask of the paper; the release has a '
                'static one, and never switches it on')


def differences(cfg: Config, row: Dict[str, Any],
                method: str) -> Dict[str, Tuple[Any, Any]]:
    """Return ``{field: (ours, published)}`` of what is not the same.

    Args:
        cfg: The config.
        row: The published values, see :func:`fields_of_row`.
        method: Our name of the method, such as 'deepkd_dkd'.
    """
    ours = fields_of_config(cfg)
    # What a row leaves out must be at its default: nothing differs unseen.
    stated = {**_defaults(ours), **fields_of_row(row, method)}
    assert stated.keys() == ours.keys()
    return {
        name: (value, stated[name])
        for name, value in ours.items() if value != stated[name]
    }


def fields_of_config(cfg: Config) -> Dict[str, Any]:
    """Return what the config trains with, the defaults filled in."""
    optimizer = cfg.optim_wrapper.optimizer
    fields = dict(
        batch=cfg.auto_scale_lr.base_batch_size,
        epochs=cfg.train_cfg.max_epochs,
        lr=optimizer.lr,
        momentum=optimizer.momentum,
        weight_decay=optimizer.weight_decay,
        schedule=schedule_of(cfg))
    if 'losses' not in cfg.model:
        return fields
    hooks = cfg.default_hooks
    loss = dict(cfg.model.losses)
    loss_class = MODELS.get(loss.pop('type'))
    arguments = inspect.signature(loss_class).bind(**loss)
    arguments.apply_defaults()
    fields.update(
        arguments.arguments,
        loss=loss_class.__name__,
        task_weight=cfg.model.get('task_weight', 1.0),
        warmup=hooks.warmup.epochs if 'warmup' in hooks else 1,
        offsets=_offsets(cfg.optim_wrapper, loss_class(**loss).streams))
    if 'topk' in hooks:
        assert fields['topk'] is None
        fields['topk'] = 'dynamic'
    return fields


def schedule_of(cfg: Config) -> str:
    """Return the schedule's name in the published tables."""
    schedulers = cfg.param_scheduler
    if not isinstance(schedulers, list):
        schedulers = [schedulers]
    if [s.type for s in schedulers] == ['MultiStepLR']:
        step = schedulers[0]
        assert step.by_epoch
        return f'step{list(step.milestones)}x{step.gamma:g}'
    lr, epochs = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs
    rates = _rates(json.dumps(schedulers), lr, epochs)
    same = all(
        math.isclose(a, b, rel_tol=1e-9)
        for a, b in zip(rates, _published_cosine(lr, epochs)))
    return COSINE if same else f'own, ends at {rates[-1]:g}'


@functools.lru_cache(maxsize=None)
def _rates(schedulers: str, lr: float, epochs: int) -> Sequence[float]:
    """Return the learning rate of every epoch."""
    wrapper = OptimWrapper(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr))
    built = [
        PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=wrapper))
        for s in json.loads(schedulers)
    ]
    rates = []
    for _ in range(epochs):
        rates.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in built:
            scheduler.step()
    return rates


def _published_cosine(lr: float, epochs: int) -> List[float]:
    """Epochs 1 to 19 rise from 0.145 lr; the cosine begins in epoch 20."""
    low, rates = 5e-5, []
    for epoch in range(1, epochs + 1):
        if epoch < 20:
            rates.append(lr * (0.1 + 0.9 * epoch / 20))
        else:
            angle = math.pi * (epoch - 20) / (epochs - 20)
            rates.append(low + (lr - low) * (1 + math.cos(angle)) / 2)
    return rates


def _offsets(wrapper: Dict[str, Any],
             streams: Sequence[str]) -> Optional[Dict[str, float]]:
    """Return the momentum offset of each stream, None for a plain wrapper."""
    if not wrapper['type'].startswith('mmdeepkd.'):
        return None
    assert set(wrapper) <= {'type', 'optimizer', 'delta', 'offsets'}
    offsets = resolve_offsets(wrapper.get('delta'), wrapper.get('offsets'))
    return {name: offsets[name] for name in ('task', *streams)}


def _defaults(fields: Dict[str, Any]) -> Dict[str, Any]:
    """Return the defaults of the loss."""
    if 'loss' not in fields:
        return {}
    loss_class = MODELS.get(f'mmdeepkd.{fields["loss"]}')
    return {
        name: copy.copy(parameter.default)
        for name, parameter in inspect.signature(loss_class).parameters.items()
    }
