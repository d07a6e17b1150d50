"""What to do about BatchNorm and a batch of one."""
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def explain_single_value(owner: str = 'the student',
                         remedy: str = '') -> Iterator[None]:
    """Say what to do where BatchNorm gets one value per channel.

    Args:
        owner: Whose BatchNorm it is.
        remedy: What else to do.

    Raises:
        ValueError: It did, with the remedy; torch only says that it expected
            more.
    """
    try:
        yield
    except ValueError as error:
        if 'more than 1 value per channel' not in str(error):
            raise
        raise ValueError(
            f'a BatchNorm of {owner} got a single value per channel, of '
            'which it can take no statistics (one image in the batch, and '
            'a feature map of 1x1): set drop_last=True in train_dataloader, '
            'whose last batch may be that small, or use larger batches or '
            f'images{remedy and f", or {remedy}"}.') from error
