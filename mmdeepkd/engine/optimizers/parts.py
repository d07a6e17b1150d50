"""Work on many tensors in parts that fit into the processor's cache."""
from typing import (
    Any,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from torch import Tensor

# Bytes of parameters per part. On the CPU what a pass wrote is still in the
# cache when the next one reads it. A GPU is kept busy by large parts; theirs
# only bounds the memory that a part takes besides.
_CPU_BYTES = 2**21
_DEVICE_BYTES = 2**26

_Given = TypeVar('_Given', Tensor, Optional[Tensor])


class Part(NamedTuple):
    """Some parameters, or a slice of a single large one."""

    rows: slice
    # (dimension, start, length), as torch.narrow takes them
    cut: Optional[Tuple[int, int, int]] = None

    def of(self, tensors: Sequence[_Given]) -> List[_Given]:
        """Return this part of one tensor, or ``None``, per parameter."""
        chosen = list(tensors[self.rows])
        if self.cut is not None:
            chosen = [None if t is None else t.narrow(*self.cut)
                      for t in chosen]
        return chosen


def parts(params: Sequence[Tensor]) -> Iterator[Part]:
    """Divide parameters of one device into parts, in their order.

    Args:
        params: The parameters.

    Yields:
        Parts that cover every element once: as many whole parameters as are
        in reach, or slices of one that is larger, along its outermost
        dimension (a single row of it is never divided).
    """
    limit = _CPU_BYTES if params[0].device.type == 'cpu' else _DEVICE_BYTES
    first, held = 0, 0
    for i, param in enumerate(params):
        size = param.numel() * param.element_size()
        if held and held + size > limit:
            yield Part(slice(first, i))
            first, held = i, 0
        if size > limit:
            for cut in _cuts(param, size, limit):
                yield Part(slice(i, i + 1), cut)
            first = i + 1
        else:
            held += size
    if first < len(params):
        yield Part(slice(first, len(params)))


def columns(rows: Iterable[Sequence[Any]]) -> Any:
    """Return the first of all rows as a list, the second, ..."""
    return map(list, zip(*rows))


def _cuts(param: Tensor, size: int,
          limit: int) -> Iterator[Tuple[int, int, int]]:
    """Yield slices along the dimension whose rows lie farthest apart."""
    strides = [stride if length > 1 else 0
               for stride, length in zip(param.stride(), param.shape)]
    dim = strides.index(max(strides))
    total = param.shape[dim]
    rows = max(1, limit * total // size)
    for start in range(0, total, rows):
        yield dim, start, min(rows, total - start)
