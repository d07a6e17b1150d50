"""The batch that one update sees, and the recipe's."""
from typing import Any, List, Optional

from mmengine.runner import Runner

from .layout import Row, number
from .optimization import wrappers


def batch_rows(runner: Runner) -> List[Row]:
    """Return the effective batch, the recipe's and the learning rate.

    Args:
        runner: The runner, with optimizer and train loop built.
    """
    accumulated = _accumulated(runner)
    effective = ' / '.join(map(str, _effective(runner))) or '?'
    sizes = ' / '.join(map(str, _batch_sizes(runner))) or '?'
    processes = 'process' if runner.world_size == 1 else 'processes'
    parts = f'{runner.world_size} {processes} x {sizes} images'
    if accumulated > 1:
        parts += f' x {accumulated} accumulated'
    recipe = _recipe(runner)
    scaling = 'on' if _scaled(runner) else 'off'
    theirs = (f"the recipe's is {recipe}; auto_scale_lr is {scaling}"
              if recipe else
              'the config names none (auto_scale_lr.base_batch_size)')
    rates = [
        group.get('initial_lr', group['lr']) for group in _groups(runner)
    ]
    return [
        ('batch', f'{parts} = {effective} per update; {theirs}'),
        ('learning rate', ' / '.join(
            dict.fromkeys(number(rate) for rate in rates))),
    ]


def batch_warning(runner: Runner) -> Optional[str]:
    """Return what is wrong if the learning rate is for another batch.

    MMEngine's ``scale_lr`` multiplies by processes x images / recipe and
    leaves accumulation out, so with it the rate fits only without.

    Args:
        runner: The runner, with optimizer and train loop built.
    """
    recipe, batches = _recipe(runner), _effective(runner)
    if len(batches) != 1:
        # Unknown, or no learning rate fits all.
        return None
    effective, accumulated = batches[0], _accumulated(runner)
    expected = recipe
    if expected and _scaled(runner):
        expected = effective // accumulated
    if not expected or effective == expected:
        return None
    groups = _groups(runner)
    rate = max(group.get('initial_lr', group['lr']) for group in groups)
    fitting = number(rate * effective / expected)
    if _scaled(runner):
        return (f'auto_scale_lr does not count accumulation: the learning '
                f'rate {number(rate)} is for a batch of {expected}, and '
                f'{accumulated} accumulated iterations make {effective}; '
                'turn auto_scale_lr off and set the learning rate that the '
                f'linear rule gives, {fitting}.')
    help_text = (f'set the learning rate that the linear rule gives, {fitting}'
                 if accumulated > 1 else
                 f'train with --auto-scale-lr, which makes it {fitting}')
    return (f'the learning rate {number(rate)} is for a batch of {expected} '
            f'(auto_scale_lr.base_batch_size), and this run has {effective}: '
            f'{help_text}, or change the batch.')


def _effective(runner: Runner) -> List[int]:
    factor = runner.world_size * _accumulated(runner)
    return [factor * size for size in _batch_sizes(runner)]


def _batch_sizes(runner: Runner) -> List[int]:
    """Return the sizes that batches have; none if that is not known.

    mmdet's MultiDataAspectRatioBatchSampler has one for each dataset, and
    makes every batch of one of them.
    """
    loader = runner.train_dataloader
    # A loader with a batch sampler has no batch size of its own.
    size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', ())
    sizes = size if isinstance(size, (list, tuple)) else [size]
    return list(dict.fromkeys(sizes))


def _accumulated(runner: Runner) -> int:
    # MMEngine has no public name for it.
    return max(int(getattr(wrapper, '_accumulative_counts', 1))
               for wrapper in wrappers(runner).values())


def _recipe(runner: Runner) -> Optional[int]:
    return (runner.auto_scale_lr or {}).get('base_batch_size')


def _scaled(runner: Runner) -> bool:
    return bool((runner.auto_scale_lr or {}).get('enable', False))


def _groups(runner: Runner) -> List[Any]:
    return [
        group for wrapper in wrappers(runner).values()
        for group in wrapper.param_groups
    ]
