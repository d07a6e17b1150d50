"""What a probe prints."""
import math
from typing import Any, Dict, List, Optional

from mmengine.config import Config

from mmdeepkd.engine.loss_access import inner_loss
from mmdeepkd.engine.summary.layout import in_columns

from .measuring import Estimate, Measured
from .suggesting import (
    config_lines,
    loss_key,
    suggest_factors,
    suggest_offsets,
    weights_of,
)

_HONESTY = (
    'These are heuristics, from one point of the training: probe later '
    'weights, too (--checkpoint).\nMore batches make the numbers more '
    'certain, not the suggestions better: whether they make a better\n'
    'student only a training tells. ')


def shown(estimate: Estimate) -> str:
    """Return an estimate and its standard error.

    Args:
        estimate: What is to be shown.
    """
    if math.isnan(estimate.error):
        return f'{estimate.value:.3g}'
    return f'{estimate.value:.3g} +- {estimate.error:.1g}'


def report(found: Measured, cfg: Config, losses: Any, delta: float,
           base: Optional[float]) -> str:
    """Return the text of a probe.

    Args:
        found: What was measured.
        cfg: The config of the distillation.
        losses: The distiller's.
        delta: The largest momentum offset.
        base: The config's momentum, if it is known.
    """
    offsets = suggest_offsets(found, delta)
    return '\n\n'.join([
        '\n'.join(_table(found, offsets, base)),
        'Cosines of the gradients of a batch: ' + ', '.join(
            f'{pair} {estimate.value:.3f}'
            for pair, estimate in found.of('grad_cosine').items()),
        'Momenta that follow the GSNR, at most '
        f'{delta:g} from the base momentum:',
        config_lines(cfg, offsets),
        'Loss weights with which the gradients would be as long as the '
        "task's:",
        '\n'.join(_weights(found, cfg, losses)),
        _HONESTY + _hooks(cfg, losses),
    ])


def _table(found: Measured, offsets: Dict[str, float],
           base: Optional[float]) -> List[str]:
    ratios, norms = found.of('gsnr'), found.of('grad_norm')
    shares = found.of('grad_ratio')
    rows = [('stream', 'GSNR', 'gradient norm', "/ task's", 'momentum')]
    for stream, norm in norms.items():
        rows.append((
            stream,
            shown(ratios[stream]) if stream in ratios else 'no gradient',
            shown(norm),
            f'{shares[stream].value:.3g}' if stream in shares else '-',
            f'base {offsets[stream]:+.4f}' if base is None else
            f'{base + offsets[stream]:.4f}'))
    return list(in_columns(rows))


def _weights(found: Measured, cfg: Config, losses: Any) -> List[str]:
    factors = suggest_factors(found)
    lines = []
    for stream in found.of('grad_norm'):
        if stream == 'task':
            continue
        if stream not in factors:
            lines.append(f'{stream}: none, it or the task has no gradient')
            continue
        values = [
            f'{argument} of {_name(cfg, losses, index)} '
            f'{value * factors[stream]:.3g} instead of {value:g}'
            for index, argument, value in weights_of(losses, stream)]
        lines.append(f'{stream}: {factors[stream]:.3g} times as much'
                     + (f' ({", ".join(values)})' if values else ''))
    return lines


def _name(cfg: Config, losses: Any, index: int) -> str:
    """Return the class of a loss and, of several, which of them it is."""
    name = type(inner_loss(losses[index])).__name__
    if len(losses) == 1:
        return name
    return f'{name} ({loss_key(cfg, losses, index)})'


def _hooks(cfg: Config, losses: Any) -> str:
    """Return what hooks would set, and how to set it here."""
    keys = [loss_key(cfg, losses, i) for i, loss in enumerate(losses)
            if hasattr(loss, 'topk')]
    if not keys:
        return 'The warm-up that a hook sets is not applied here.'
    options = ' '.join(f'{key}.topk=K' for key in keys)
    return ('The K and the warm-up that hooks set are not applied here; set '
            f'topk\nof the loss instead (--cfg-options {options}).')
