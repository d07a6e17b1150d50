"""From a configured SGD or AdamW to its decoupled form."""
from typing import Dict, Mapping, Optional

import torch
from torch.optim import Optimizer

from .optimizers import (
    DecoupledAdamW,
    DecoupledOptimizer,
    DecoupledSGD,
)
from .optimizers.plain import DROPPED_OPTIONS, refused_options

# +1: momentum + delta; -1: momentum - delta (DeepKD, Sec. 3.2).
_DELTA_SIGNS = dict(task=1, target=-1, non_target=1, distill=1, feature=1)


def resolve_offsets(
        delta: Optional[float],
        offsets: Optional[Mapping[str, float]],
        semantics: str = 'paper') -> Dict[str, float]:
    """Return the momentum offset of each stream.

    Args:
        delta: DeepKD's single number: + for task, non_target, distill and
            feature, - for target.
        offsets: ``{stream: offset}`` instead of delta.
        semantics: ``'released'`` takes offsets only: its optimizers know
            fewer streams than delta names.

    Raises:
        ValueError: Not exactly one of the two is given, or delta with
            ``'released'``.
    """
    if (delta is None) == (offsets is None):
        raise ValueError(
            'DeepKDOptimWrapper needs exactly one of delta (such as 0.05) and '
            f'offsets, got delta={delta} and offsets={offsets}.')
    if offsets is not None:
        return dict(offsets)
    assert delta is not None
    if semantics == 'released':
        raise ValueError(
            "DeepKDOptimWrapper(semantics='released') needs offsets, not "
            'delta: name the streams of DeepKD, offsets=dict('
            f'task={delta}, target={-delta}, non_target={delta}), or of DOT, '
            f'offsets=dict(task={-delta}, distill={delta}).')
    return {name: sign * delta for name, sign in _DELTA_SIGNS.items()}


def decouple(optimizer: Optimizer,
             offsets: Mapping[str, float],
             semantics: str = 'paper',
             merge: bool = True) -> DecoupledOptimizer:
    """Turn a fresh SGD or AdamW into its decoupled form over the same groups.

    Args:
        optimizer: A ``torch.optim.SGD`` or ``torch.optim.AdamW`` that has
            not stepped yet.
        offsets: ``{stream: offset}``.
        semantics: See :class:`DecoupledSGD`; AdamW has ``'paper'`` only.
        merge: See :class:`DecoupledSGD`.

    Returns:
        A :class:`DecoupledSGD` or :class:`DecoupledAdamW` over the same
        parameters with all hyper-parameters and further group entries. SGD's
        ``fused`` and ``foreach`` stay the user's choice; AdamW has no fused
        form, since torch's knows one first moment.

    Raises:
        TypeError: The optimizer is neither of the two.
        ValueError: It uses an option that has no meaning over streams, or
            has already stepped, or ``'released'`` is asked of AdamW, or a
            fused SGD where torch has none.
    """
    kind = type(optimizer)
    if kind not in (torch.optim.SGD, torch.optim.AdamW):
        raise TypeError(
            'DeepKDOptimWrapper decouples the momentum of torch.optim.SGD and '
            f'torch.optim.AdamW, and cannot decouple {kind.__name__}: use '
            "optimizer=dict(type='SGD', momentum=0.9, ...) or dict(type="
            "'AdamW', ...), or MMEngine's OptimWrapper to train without "
            'decoupled momentum.')
    if optimizer.state:
        raise ValueError(f'DeepKDOptimWrapper needs an {kind.__name__} that '
                         'has not stepped yet: its momentum would be lost.')
    for group in optimizer.param_groups:
        for option in refused_options(group):
            raise ValueError(
                f'DeepKDOptimWrapper does not support {option}=True: '
                'remove it from the optimizer config.')
    groups = [{k: v
               for k, v in group.items() if k not in DROPPED_OPTIONS}
              for group in optimizer.param_groups]
    defaults = optimizer.defaults
    if kind is torch.optim.SGD:
        fused = defaults.get('fused')
        if fused is None and defaults.get('foreach'):
            fused = False
        return DecoupledSGD(
            groups,
            lr=defaults['lr'],
            momentum=defaults['momentum'],
            offsets=offsets,
            weight_decay=defaults['weight_decay'],
            dampening=defaults['dampening'],
            semantics=semantics,
            merge=merge,
            fused=fused)
    if semantics != 'paper':
        raise ValueError(
            f'DeepKDOptimWrapper has semantics={semantics!r} for SGD only '
            "(the released optimizers are SGD): use semantics='paper' with "
            'AdamW.')
    return DecoupledAdamW(
        groups,
        lr=defaults['lr'],
        betas=defaults['betas'],
        offsets=offsets,
        eps=defaults['eps'],
        weight_decay=defaults['weight_decay'],
        merge=merge)
