"""The optimizer, its wrapper and the length of the run."""
from typing import Any, Dict, List

from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from .layout import Row, number


def optimization_rows(runner: Runner) -> List[Row]:
    """Return how parameters are updated, and how often.

    Args:
        runner: The runner, with optimizer and train loop built.
    """
    rows = []
    for name, wrapper in wrappers(runner).items():
        optimizer = wrapper.optimizer
        rows += [
            (f'optimizer {name}'.rstrip(),
             f'{type(optimizer).__name__} in {type(wrapper).__name__}: '
             f'{_settings(wrapper, optimizer)}'),
            ('precision', _precision(wrapper)),
        ]
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            rows.append(('EMA', _average(hook.ema_model)))
    rows.append(('length', _length(runner)))
    return rows


def wrappers(runner: Runner) -> Dict[str, Any]:
    """Return the optimizer wrappers by name; a single one has none.

    Args:
        runner: The runner, with its optimizer built.
    """
    wrapper = runner.optim_wrapper
    return dict(wrapper.items()) if isinstance(
        wrapper, OptimWrapperDict) else {'': wrapper}


def _settings(wrapper: Any, optimizer: Any) -> str:
    decays = dict.fromkeys(
        number(group['weight_decay']) for group in optimizer.param_groups
        if 'weight_decay' in group)
    found = [f'weight decay {" / ".join(decays) or "none"}']
    for name in ('semantics', 'merge'):
        if hasattr(optimizer, name):
            found.append(f'{name} {getattr(optimizer, name)}')
    clip = getattr(wrapper, 'clip_grad_kwargs', None)
    found.append(f'clip_grad {_pairs(clip)}' if clip else 'no clip_grad')
    if hasattr(wrapper, 'nonfinite'):
        found.append(f'nonfinite {wrapper.nonfinite}')
    return ', '.join(found)


def _pairs(settings: Any) -> str:
    return ' '.join(f'{key}={value}' for key, value in settings.items())


def _precision(wrapper: Any) -> str:
    if not hasattr(wrapper, 'loss_scaler'):
        return 'float32'
    dtype = str(wrapper.cast_dtype or "torch's default").split('.')[-1]
    scaled = wrapper.loss_scaler.is_enabled()
    return f'autocast to {dtype}, {"with" if scaled else "no"} loss scaling'


def _average(model: Any) -> str:
    momentum = getattr(model, 'momentum', None)
    name = type(model).__name__
    return name if momentum is None else (
        f'{name}, momentum {number(momentum)}')


def _length(runner: Runner) -> str:
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        length = len(runner.train_dataloader)
        text = f'{runner.max_epochs} epochs x {length} iterations'
        begun = f', resumed after epoch {runner.epoch}'
    else:
        text = f'{runner.max_iters} iterations'
        begun = f', resumed after iteration {runner.iter}'
    return text + (begun if runner.iter else '')
