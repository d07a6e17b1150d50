"""Batches of a dataloader, for as long as they are wanted."""
import itertools
from typing import Any, Iterator


def endless(dataloader: Any) -> Iterator[Any]:
    """Yield batches, epoch after epoch, each shuffled anew as in training.

    Args:
        dataloader: Of MMEngine.

    Raises:
        ValueError: It has no batch.
    """
    samplers = (dataloader.sampler,
                getattr(dataloader.batch_sampler, 'sampler', None))
    for epoch in itertools.count():
        for sampler in samplers:
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
        empty = True
        for batch in dataloader:
            empty = False
            yield batch
        if empty:
            raise ValueError(
                'train_dataloader gives no batch: it has fewer images than a '
                'batch and drops the last one; make batch_size smaller.')
