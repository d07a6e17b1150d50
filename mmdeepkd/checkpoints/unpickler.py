"""The unpickler that runs no code hidden in a checkpoint.

``torch.load`` without ``weights_only`` runs whatever a file asks for, and
with it torch >= 2.6 refuses the files MMEngine itself writes (they hold log
histories and numpy numbers) and torch 2.1 even a scheduler's ``Counter``. The
unpickler here admits tensors, plain containers and those few harmless
classes, on every torch version, and refuses anything else by name.
"""
import pickle
import types
from typing import Any, BinaryIO

from .admitted import admitted_global, set_state


class _RestrictedUnpickler(pickle._Unpickler):
    """Python's own unpickler in Python: in C one cannot override BUILD."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        return admitted_global(module, name)

    def load_build(self) -> None:
        # Python's BUILD sets any attribute of any object, of classes too.
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    dispatch[pickle.BUILD[0]] = load_build


def _load(file: BinaryIO, **kwargs: Any) -> Any:
    return _RestrictedUnpickler(file, **kwargs).load()


# What torch.load wants as a pickle module.
RESTRICTED_PICKLE = types.SimpleNamespace(
    __name__='mmdeepkd.checkpoints.unpickler',
    Unpickler=_RestrictedUnpickler,
    load=_load,
    UnpicklingError=pickle.UnpicklingError)
