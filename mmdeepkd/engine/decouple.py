"""From a configured SGD to a :class:`DecoupledSGD`."""
from typing import Dict, Mapping, Optional

import torch
from torch.optim import Optimizer

from .optimizers import DecoupledSGD

# +1: momentum + delta; -1: momentum - delta (DeepKD, Sec. 3.2).
_DELTA_SIGNS = dict(task=1, target=-1, non_target=1, distill=1, feature=1)


def resolve_offsets(
        delta: Optional[float],
        offsets: Optional[Mapping[str, float]]) -> Dict[str, float]:
    """Return the momentum offset of each stream.

    Args:
        delta: DeepKD's single number: + for task, non_target, distill and
            feature, - for target.
        offsets: ``{stream: offset}`` instead of delta.

    Raises:
        ValueError: Not exactly one of the two is given.
    """
    if (delta is None) == (offsets is None):
        raise ValueError(
            'DeepKDOptimWrapper needs exactly one of delta (such as 0.05) and '
            f'offsets, got delta={delta} and offsets={offsets}.')
    if offsets is not None:
        return dict(offsets)
    assert delta is not None
    return {name: sign * delta for name, sign in _DELTA_SIGNS.items()}


def decouple(optimizer: Optimizer,
             offsets: Mapping[str, float],
             semantics: str = 'paper',
             merge: bool = True) -> DecoupledSGD:
    """Turn a fresh SGD into a DecoupledSGD with the same groups.

    Args:
        optimizer: A ``torch.optim.SGD`` that has not stepped yet.
        offsets: ``{stream: offset}``.
        semantics: See :class:`DecoupledSGD`.
        merge: See :class:`DecoupledSGD`.

    Returns:
        An optimizer over the same parameters with the same learning rates,
        momenta, weight decays, dampenings and further group entries.

    Raises:
        TypeError: The optimizer is no SGD.
        ValueError: It uses an option that has no meaning over streams, or
            has already stepped.
    """
    if type(optimizer) is not torch.optim.SGD:
        raise TypeError(
            'DeepKDOptimWrapper decouples the momentum of torch.optim.SGD, '
            f'and cannot decouple {type(optimizer).__name__}: use '
            "optimizer=dict(type='SGD', momentum=0.9, ...), or MMEngine's "
            'OptimWrapper to train without decoupled momentum.')
    if optimizer.state:
        raise ValueError('DeepKDOptimWrapper needs an SGD that has not '
                         'stepped yet: its momentum would be lost.')
    for group in optimizer.param_groups:
        for option in ('nesterov', 'maximize', 'differentiable'):
            if group.get(option):
                raise ValueError(
                    f'DeepKDOptimWrapper does not support {option}=True: '
                    'remove it from the optimizer config.')
    dropped = ('nesterov', 'maximize', 'differentiable', 'foreach', 'fused')
    groups = [{k: v
               for k, v in group.items() if k not in dropped}
              for group in optimizer.param_groups]
    defaults = optimizer.defaults
    return DecoupledSGD(
        groups,
        lr=defaults['lr'],
        momentum=defaults['momentum'],
        offsets=offsets,
        weight_decay=defaults['weight_decay'],
        dampening=defaults['dampening'],
        semantics=semantics,
        merge=merge)
