"""The teacher's logits on a sample of the training data, before training."""
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Iterable, Iterator, List

import torch
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdeepkd.checkpoints import random_state, set_random_state

from .loss_access import called_with, views_of
from .unwrap import unwrap

#: Takes logits (N, C) and targets (N,), on the CPU.
Take = Callable[[Tensor, Tensor], None]


def sample_teacher(runner: Runner, loss: nn.Module, size: int,
                   take: Take) -> int:
    """Show the logits that a loss would get of the teacher; change nothing.

    Images evenly spaced in the training data pass the train pipeline and the
    distiller, without a gradient and without the augmentations of whole
    batches; the student is in eval mode meanwhile. Of two views both are
    shown, of a detector the rows of the RoIs that the student samples now,
    the background among them; rows of weight 0 are left out.

    The training after it does not notice: random states, training flags and
    buffers are set back, and the loop's own dataloader is not touched. (A
    dataset that remembers what it gave, and is read by no worker but by the
    process itself, remembers this too.) Every process sees the same images,
    so that a model that communicates in its forward finds the others there.

    Args:
        runner: The runner, ready to train; its model is a distiller.
        loss: One of the distiller's losses, or a part of one, that is called
            with logits of student and teacher and a target.
        size: Number of images, of which whole batches are taken; fewer if
            there are fewer.
        take: Is shown every batch.

    Returns:
        The number of images.

    Raises:
        ValueError: There are no training data to take by index.
    """
    distiller, loader = unwrap(runner.model), runner.train_dataloader
    indices = _spaced(loader.dataset, size, _batch_size(loader))
    with _set_back(distiller), _listening(loss, take), torch.no_grad():
        _forward(distiller, _loader(loader, indices), runner.optim_wrapper)
    return len(indices)


def _forward(distiller: Any, batches: Iterable[Any],
             wrapper: Any) -> None:
    for batch in batches:
        if batch is None:
            continue
        # The teacher's precision is that of the training.
        with wrapper.optim_context(distiller):
            data = distiller.data_preprocessor(batch, training=False)
            distiller(**data, mode='loss')


def _spaced(dataset: Any, size: int, batch_size: int) -> List[int]:
    length = len(dataset) if hasattr(dataset, '__len__') else 0
    if not length:
        raise ValueError(
            'DynamicTopKHook proposes what is auto from a sample of the '
            f'training data, and {type(dataset).__name__} gives none by '
            'index: set static_k and phases to numbers.')
    size = min(size, length)
    # Whole batches, as training has them: a compiled teacher is compiled anew
    # for another size.
    size -= size % batch_size if size > batch_size else 0
    return [i * length // size for i in range(size)]


def _loader(loader: Any, indices: List[int]) -> 'DataLoader[Any]':
    """Return a dataloader of some samples, made as those of the training.

    Its workers are its own, so that no file of the dataset is open here when
    those of the training are forked.
    """
    size = _batch_size(loader)
    batches = [indices[i:i + size] for i in range(0, len(indices), size)]
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        num_workers=loader.num_workers,
        collate_fn=partial(_collate_present, loader.collate_fn),
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context)


def _batch_size(loader: Any) -> int:
    # A batch sampler of its own hides it.
    hidden = getattr(loader.batch_sampler, 'batch_size', 1)
    return int(loader.batch_size or hidden)


def _collate_present(collate: Callable[[List[Any]], Any],
                     items: List[Any]) -> Any:
    """Collate what the dataset has; None stands for a broken image."""
    present = [item for item in items if item is not None]
    return collate(present) if present else None


@contextmanager
def _listening(loss: nn.Module, take: Take) -> Iterator[None]:
    # Not before the forward: the loss says best what is wrong with its input.
    handle = loss.register_forward_hook(
        partial(_show, take), with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _show(take: Take, loss: nn.Module, args: Any, kwargs: Any,
          output: Any) -> None:
    given = called_with(args, kwargs)
    target, weight = given['target'].cpu(), given.get('weight')
    for logits in views_of(given['logits_teacher']):
        logits, rows = logits.detach().cpu(), slice(None)
        if weight is not None:
            rows = weight.cpu() > 0
        take(logits[rows], target[rows])


@contextmanager
def _set_back(model: nn.Module) -> Iterator[None]:
    """Switch to eval mode, and set back what a forward pass may change."""
    random = random_state()
    # A distiller has its student's children, not the student itself.
    modules = list(dict.fromkeys(
        [*model.modules(), *getattr(model, 'student', model).modules()]))
    flags = [module.training for module in modules]
    buffers = [(module, name, buffer, buffer.clone()) for module in modules
               for name, buffer in module.named_buffers(recurse=False)]
    try:
        # Not eval(), with which some networks freeze or rebuild themselves.
        for module in modules:
            module.training = False
        yield
    finally:
        for module, training in zip(modules, flags):
            module.training = training
        for module, name, buffer, values in buffers:
            buffer.copy_(values)
            setattr(module, name, buffer)
        set_random_state(random)
