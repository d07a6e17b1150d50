"""The unpickler that runs no code hidden in a checkpoint.

``torch.load`` without ``weights_only`` runs whatever a file asks for, and
with it torch >= 2.6 refuses the files MMEngine itself writes (they hold log
histories and numpy numbers) and torch 2.1 even a scheduler's ``Counter``. The
unpickler here admits tensors, plain containers and those few harmless
classes, on every torch version, and refuses anything else by name.
"""
import collections
import pickle
import types
from typing import Any, BinaryIO, Callable, Optional

import torch

from .admitted import (
    admitted_global,
    require_callable,
    require_creatable,
    set_state,
)
from .unsafe import UnsafeCheckpointError

# Elsewhere an item may be memory: of an array, a tensor, a storage.
_MAPPINGS = (dict, collections.OrderedDict, collections.Counter)
_SEQUENCES = (list, collections.deque)


class _RestrictedUnpickler(pickle._Unpickler):
    """Python's own unpickler in Python: in C one cannot override BUILD.

    Args:
        file: As for Python's.
        record_size: Returns how many bytes of a storage's name the file
            holds; None for torch's old format, which torch checks itself.
        kwargs: As for Python's.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO,
                 record_size: Optional[Callable[[str], int]] = None,
                 **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self._record_size = record_size

    def find_class(self, module: str, name: str) -> Any:
        return admitted_global(module, name)

    def _load_build(self) -> None:
        # Python's BUILD sets any attribute of any object, of classes too.
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    def _load_reduce(self) -> None:
        require_callable(self.stack[-2])
        super().load_reduce()

    def _load_newobj(self) -> None:
        require_creatable(self.stack[-2])
        super().load_newobj()

    def _refuse_opcode(self) -> None:
        # These create instances with keywords, or as Python 1 did.
        raise UnsafeCheckpointError('it creates objects as torch.save never '
                                    'does')

    def _load_setitem(self) -> None:
        _require_kind(self.stack[-3], _MAPPINGS)
        super().load_setitem()

    def _load_setitems(self) -> None:
        _require_kind(self.metastack[-1][-1], _MAPPINGS)
        super().load_setitems()

    def _load_append(self) -> None:
        _require_kind(self.stack[-2], _SEQUENCES)
        super().load_append()

    def _load_appends(self) -> None:
        _require_kind(self.metastack[-1][-1], _SEQUENCES)
        super().load_appends()

    def _load_additems(self) -> None:
        _require_kind(self.metastack[-1][-1], (set, ))
        super().load_additems()

    def _load_binpersid(self) -> None:
        self._check_storage(*self.stack[-1])
        super().load_binpersid()

    def _check_storage(self, what: Any, kind: Any = None, key: Any = None,
                       place: Any = None, count: Any = None,
                       view: Any = None) -> None:
        """Raise if a storage is larger than its record in the file.

        Torch 2.1 would read and write what lies behind it.
        """
        if what not in ('storage', b'storage') or type(count) is not int:
            raise pickle.UnpicklingError('it refers to no storage')
        if self._record_size is None:
            return
        itemsize = 1 if kind is torch.UntypedStorage else (
            torch._utils._element_size(kind.dtype))
        held = self._record_size(f'data/{key}')
        if not 0 <= count * itemsize <= held:
            raise pickle.UnpicklingError(
                f'a storage has {held} of its {count * itemsize} bytes')

    dispatch.update({
        pickle.BUILD[0]: _load_build,
        pickle.REDUCE[0]: _load_reduce,
        pickle.NEWOBJ[0]: _load_newobj,
        pickle.NEWOBJ_EX[0]: _refuse_opcode,
        pickle.OBJ[0]: _refuse_opcode,
        pickle.INST[0]: _refuse_opcode,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.APPEND[0]: _load_append,
        pickle.APPENDS[0]: _load_appends,
        pickle.ADDITEMS[0]: _load_additems,
        pickle.BINPERSID[0]: _load_binpersid,
    })


def _require_kind(target: Any, kinds: Any) -> None:
    if type(target) not in kinds:
        kind = type(target)
        raise UnsafeCheckpointError(
            f'it sets items of {kind.__module__}.{kind.__name__}')


def _load(file: BinaryIO, **kwargs: Any) -> Any:
    return _RestrictedUnpickler(file, **kwargs).load()


# What torch.load wants as a pickle module.
RESTRICTED_PICKLE = types.SimpleNamespace(
    __name__='mmdeepkd.checkpoints.unpickler',
    Unpickler=_RestrictedUnpickler,
    load=_load,
    UnpicklingError=pickle.UnpicklingError)
