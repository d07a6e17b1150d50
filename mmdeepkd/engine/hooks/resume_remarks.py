"""What keeps a resumed run from being exactly the uninterrupted one."""
from itertools import chain
from typing import List

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..loops import ResumableIterLoop


def resume_remarks(runner: Runner, resumed: bool) -> List[str]:
    """Say what in a run cannot be resumed bit for bit, and the way out.

    Args:
        runner: The runner, with loop and schedules built.
        resumed: Whether it has just been resumed; False for what would be
            if it were interrupted.

    Returns:
        One clause for each.
    """
    return [
        *_data_remarks(runner, resumed),
        *_accumulation_remarks(runner, resumed), *_validation_remarks(runner)
    ]


def _data_remarks(runner: Runner, resumed: bool) -> List[str]:
    loop = runner.train_loop
    if isinstance(loop, ResumableIterLoop):
        return []
    if not isinstance(loop, EpochBasedTrainLoop):
        return [
            f'{type(loop).__name__} is a loop of your own, in which the '
            'random states are restored before the old data are skipped'
        ]
    remarks = []
    if getattr(loop.dataloader, 'persistent_workers', False):
        remarks.append(
            'persistent workers carry their random augmentation from '
            'epoch to epoch, where nothing can save it (set '
            'train_dataloader.persistent_workers=False)')
    skipped = loop.iter - loop.epoch * len(loop.dataloader)
    if resumed and skipped:
        remarks.append(
            f'the checkpoint was saved {skipped} iterations into epoch '
            f'{loop.epoch + 1}, which begins anew (save by epoch, or '
            'train by iteration)')
    return remarks


def _accumulation_remarks(runner: Runner, resumed: bool) -> List[str]:
    loop = runner.train_loop
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if not resumed or loop.iter % counts == 0:
        return []
    return [
        f'the checkpoint was saved {loop.iter % counts} iterations into '
        f'an accumulation of {counts}, whose gradients are lost (save '
        f'at a multiple of {counts} iterations)'
    ]


def _validation_remarks(runner: Runner) -> List[str]:
    """Name what depends on the metrics of validations that are over."""
    if runner.val_loop is None:
        return []
    schedules = runner.param_schedulers or []
    if isinstance(schedules, dict):
        schedules = chain.from_iterable(schedules.values())
    remarks = [
        f'{name} misses the metrics of a validation that follows the '
        'checkpoint' for name in dict.fromkeys(
            type(schedule).__name__ for schedule in schedules
            if getattr(schedule, 'need_val_args', False))
    ]
    if any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        remarks.append('EarlyStoppingHook saves neither its best score nor '
                       'for how long it has waited, and begins anew')
    return remarks
