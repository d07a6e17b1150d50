"""``teacher_speedup`` of a distiller."""
from typing import Any, NamedTuple, Optional

import torch

_DTYPES = dict(bf16=torch.bfloat16, fp16=torch.float16)


class Speedup(NamedTuple):
    """What is done to make a teacher faster.

    Attributes:
        channels_last: Lay images and the weights of convolutions out in
            torch's channels_last format.
        fold_bn: Fold a BatchNorm into the convolution before it.
        amp: ``'bf16'``, ``'fp16'`` or None: what its dense parts compute in.
        compile: Compile its dense parts with ``torch.compile``. Meant for
            images of one size: every new shape may compile again, and torch
            gives up, and runs as without, after its limit of recompilations.
    """

    channels_last: bool = True
    fold_bn: bool = True
    amp: Optional[str] = None
    compile: bool = False

    @property
    def dtype(self) -> Optional[torch.dtype]:
        """What autocast casts to, or None."""
        return None if self.amp is None else _DTYPES[self.amp]

    def describe(self) -> str:
        """Return the switches in words: what is asked for.

        What could be done is in the log after the first batch.
        """
        said = [
            'channels_last' if self.channels_last else 'format as loaded',
            'fold_bn' if self.fold_bn else 'BatchNorms as loaded',
            'no autocast' if self.amp is None else f'autocast to {self.amp}',
            'compiled' if self.compile else 'not compiled'
        ]
        return ', '.join(said)

    def remedy(self) -> str:
        """Return what turns off all that is on, for messages."""
        off = Speedup(False, False, None, False)._asdict()
        return ', and if that is not enough '.join(
            f'{key}={off[key]}' for key, value in self._asdict().items()
            if value)


def parse_speedup(config: Any) -> Optional[Speedup]:
    """Check ``teacher_speedup`` and return it.

    Args:
        config: A dict with some of the attributes of :class:`Speedup`, which
            has the defaults, or None.

    Returns:
        None where nothing is to be done.

    Raises:
        ValueError: It is anything else.
    """
    if config is None:
        return None
    if not isinstance(config, dict):
        raise ValueError(
            'teacher_speedup must be None or a dict with some of the keys '
            f'{", ".join(Speedup._fields)}, got {config!r}.')
    unknown = [key for key in config if key not in Speedup._fields]
    if unknown:
        raise ValueError(
            f'teacher_speedup has no {unknown[0]!r}: its keys are '
            f'{", ".join(Speedup._fields)}.')
    for key, value in config.items():
        if key == 'amp':
            if value not in (None, *_DTYPES):
                raise ValueError(
                    'teacher_speedup.amp must be None, '
                    f'{" or ".join(map(repr, _DTYPES))}, got {value!r}.')
        elif not isinstance(value, bool):
            raise ValueError(f'teacher_speedup.{key} must be True or False, '
                             f'got {value!r}.')
    speedup = Speedup(**config)
    return speedup if any(speedup) else None
