"""Momenta and loss weights that what was measured suggests."""
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from mmdeepkd.engine.loss_access import inner_loss
from mmdeepkd.engine.optimizers.streams import narrower_delta
from mmdeepkd.functional.gsnr import gsnr_offsets

from .measuring import Measured

_WRAPPER = 'mmdeepkd.DeepKDOptimWrapper'
# The arguments of losses that each weigh one stream; of a feature loss what
# reaches the student.
_WEIGHTS = (dict(target='alpha', non_target='beta'),
            dict(distill='loss_weight'), dict(feature='loss_weight'))


def base_momentum(cfg: Config) -> Optional[float]:
    """Return the momentum of a config's optimizer, or None if it is unknown.

    Args:
        cfg: The config.
    """
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    kind = str(optimizer.get('type')).split('.')[-1]
    if kind == 'AdamW':
        return float(optimizer.get('betas', (0.9, 0.999))[0])
    return float(optimizer.get('momentum', 0.0)) if kind == 'SGD' else None


def config_delta(cfg: Config) -> float:
    """Return the largest distance of a config's momenta from the base.

    Args:
        cfg: The config; without a delta and offsets of its own 0.05.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('delta') is not None:
        return float(wrapper['delta'])
    offsets = wrapper.get('offsets') or {}
    return max((abs(float(value)) for value in offsets.values()),
               default=0.05)


def check_delta(delta: float, base: Optional[float]) -> None:
    """Raise unless every momentum that delta allows is in [0, 1).

    Args:
        delta: The largest distance from the base momentum.
        base: The base momentum, if it is known.
    """
    if not delta >= 0:
        raise ValueError(f'--delta must be at least 0, got {delta}.')
    advice = None if base is None else narrower_delta(delta, base)
    if advice is not None:
        raise ValueError(
            f"a delta of {delta} around the config's momentum {base} leaves "
            f'[0, 1): {advice}.')


def suggest_offsets(found: Measured, delta: float) -> Dict[str, float]:
    """Return an offset for every stream; 0 where there is no GSNR.

    Args:
        found: What was measured.
        delta: The largest offset.
    """
    offsets = gsnr_offsets({stream: estimate.value for stream, estimate
                            in found.of('gsnr').items()}, delta)
    return {stream: round(offsets.get(stream, 0.0), 4)
            for stream in found.of('grad_norm')}


def config_lines(cfg: Config, offsets: Dict[str, float]) -> str:
    """Return the lines of a config that set these offsets.

    Args:
        cfg: The config they are for.
        offsets: ``{stream: offset}``.
    """
    kind = str((cfg.get('optim_wrapper') or {}).get('type'))
    if 'DeepKDOptimWrapper' not in kind:
        kind = _WRAPPER
    inner = ', '.join(f'{name}={value:g}' for name, value in offsets.items())
    # A delta of the config would contradict the offsets.
    return (f'optim_wrapper = dict(\n    type={kind!r},\n    delta=None,\n'
            f'    offsets=dict({inner}))')


def suggest_factors(found: Measured) -> Dict[str, float]:
    """Return what makes a stream's gradient as long as the task's.

    Args:
        found: What was measured.

    Returns:
        ``{stream: factor on its loss}``, of the distillation streams that
        have a gradient; none if the task has none.
    """
    norms = {stream: estimate.value
             for stream, estimate in found.of('grad_norm').items()}
    task = norms.pop('task', 0.0)
    return {stream: task / norm for stream, norm in norms.items()
            if norm > 0 and task > 0}


def weights_of(losses: Any, stream: str) -> List[Tuple[int, str, float]]:
    """Return (index of the loss, argument, value) of what weighs a stream.

    Args:
        losses: Of a distiller.
        stream: Name of the stream.
    """
    return [
        (i, names[stream], getattr(loss, names[stream]))
        # A loss on some of the rows has the weights of the one inside.
        for i, loss in enumerate(map(inner_loss, losses))
        for names in _WEIGHTS
        if set(loss.streams) == set(names) and stream in names
        and hasattr(loss, names[stream])
    ]


def loss_key(cfg: Config, losses: Any, index: int) -> str:
    """Return where in the config the arguments of a loss are.

    Args:
        cfg: The config of the distillation.
        losses: The distiller's.
        index: Of the loss.

    Returns:
        ``model.losses``, of one in a list ``model.losses.<index>``; of a
        loss on some of the rows that of the one inside.
    """
    given = (cfg.get('model') or {}).get('losses')
    key = 'model.losses'
    if isinstance(given, (list, tuple)):
        key += f'.{index}'
    return key if inner_loss(losses[index]) is losses[index] else f'{key}.loss'
