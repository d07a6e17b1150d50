"""The teacher: frozen, in eval mode, strictly loaded, never saved."""
from collections import OrderedDict
from typing import Any, Callable, Dict, Tuple

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from mmdeepkd.checkpoints import (
    LoadReport,
    compare_tensors,
    few,
    tensors_of,
)

from .class_map import read_class_names
from .student_front import ADAPTERS


class TeacherHolder:
    """Keeps the teacher out of its owner's module tree.

    A module assigned to an ``nn.Module`` lands in its parameters, state_dict,
    DDP and EMA copies. The holder is a plain object, and its deep copy holds
    the same teacher: all copies of a distiller share one. Only the original
    owns it, so that moving a copy (an EMA kept on the CPU) leaves it alone.

    Args:
        module: The loaded teacher.
        report: What of it was loaded.
        owned: Whether the holder's distiller may move the teacher.
    """

    def __init__(self, module: nn.Module, report: LoadReport,
                 owned: bool = True) -> None:
        self.module = module.eval().requires_grad_(False)
        self.report = report
        self.owned = owned

    def __deepcopy__(self, memo: Dict[int, Any]) -> 'TeacherHolder':
        return TeacherHolder(self.module, self.report, owned=False)


def build_teacher(
        config: ConfigDict, checkpoint: Any,
        build: Callable[[ConfigDict], nn.Module],
        network: Callable[[nn.Module], nn.Module]) -> TeacherHolder:
    """Build the teacher and load its weights, every tensor of them.

    Args:
        config: Model config of the teacher.
        checkpoint: Path or URL, as MMEngine's loader takes them.
        build: Builds a model from its config.
        network: Returns the part of the model that the file's names are
            relative to.

    Returns:
        The holder of the frozen teacher.

    Raises:
        ValueError: No checkpoint is given.
        FileNotFoundError: The file is not there.
        RuntimeError: Its tensors are not those of the teacher.
    """
    if not checkpoint:
        raise ValueError(
            'teacher_checkpoint is not set: a distiller needs the trained '
            'weights of its teacher; set model.teacher_checkpoint to a path '
            'or URL.')
    # Constructors draw random weights: the student must not notice.
    with torch.random.fork_rng(devices=[]):
        teacher = build(config)
    report = load_strictly(network(teacher), str(checkpoint))
    return TeacherHolder(teacher, report)


def load_strictly(module: nn.Module, checkpoint: str) -> LoadReport:
    """Load a checkpoint whose tensors must be exactly the module's.

    The tensors are those that :func:`tensors_of` finds. The names of the
    classes, if the file has them, become the module's attribute
    ``class_names``, else it is None. A checkpoint that was distilled itself
    may hold the modules of its losses (``distill.*``), which are left out.

    Args:
        module: The module; changed in place.
        checkpoint: Path or URL.

    Returns:
        How many tensors each part of the module has got.

    Raises:
        FileNotFoundError: The file is not there.
        RuntimeError: A tensor is missing, unexpected, of another shape or
            not finite, or the file holds none.
    """
    loaded = _read(checkpoint)
    state = tensors_of(loaded, f'the teacher checkpoint {checkpoint}')
    module.class_names = read_class_names(loaded)
    consume_prefix_in_state_dict_if_present(state, 'module.')
    state = _without_adapters(state, module, checkpoint)
    _load_all(module, state, checkpoint)
    own = module.state_dict()
    broken = [key for key, value in own.items()
              if torch.is_tensor(value) and value.is_floating_point()
              and not value.isfinite().all()]
    if broken:
        raise RuntimeError(
            f'the teacher checkpoint {checkpoint} holds inf or NaN in '
            f'{few(broken, "tensors")}: its training diverged; give an '
            'earlier checkpoint of it, or train it again.')
    # All of them; by its own names, for a module may rename the file's.
    return compare_tensors('teacher', checkpoint, own, own)


def _read(checkpoint: str) -> Any:
    try:
        return CheckpointLoader.load_checkpoint(
            checkpoint, map_location='cpu')
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'the teacher checkpoint {checkpoint} is not there: train the '
            'teacher first, or set model.teacher_checkpoint to its path or '
            'URL.') from error


def _without_adapters(state: Dict[str, Any], module: nn.Module,
                      checkpoint: str) -> Dict[str, Any]:
    """Leave out what a distilled teacher's own losses trained."""
    prefix = f'{ADAPTERS}.'
    dropped = [key for key in state if key.startswith(prefix)]
    if not dropped or hasattr(module, ADAPTERS):
        return state
    MMLogger.get_current_instance().info(
        f'the teacher checkpoint {checkpoint} was distilled itself: its '
        f'{few(dropped, "tensors")} of the losses are left out.')
    kept = OrderedDict(
        (key, value) for key, value in state.items() if key not in dropped)
    kept._metadata = getattr(state, '_metadata', None)
    return kept


def _load_all(module: nn.Module, state: Dict[str, Any],
              checkpoint: str) -> None:
    """Load tensors that must be exactly the module's."""
    own = module.state_dict()
    wrong = [
        f'{key} is {_shape(state[key])} in the file and {_shape(own[key])} '
        'in the teacher' for key in own
        if key in state and _shape(state[key]) != _shape(own[key])
    ]
    fitting = OrderedDict(
        (key, value) for key, value in state.items()
        if key not in own or _shape(value) == _shape(own[key]))
    # The versions of its modules, which decide how a module reads it.
    fitting._metadata = getattr(state, '_metadata', None)
    keys = module.load_state_dict(fitting, strict=False)
    missing = [key for key in keys.missing_keys if key not in state]
    if state.keys().isdisjoint(own):
        raise RuntimeError(
            f'the teacher checkpoint {checkpoint} does not match the teacher: '
            f"none of its {len(state)} names is one of the teacher's "
            f'{len(own)}; a file of another code base must be converted first '
            '(CIFAR-100: tools/convert_teacher.py).')
    if wrong or missing or keys.unexpected_keys:
        raise RuntimeError(
            f'the teacher checkpoint {checkpoint} does not match the teacher '
            f'({len(own)} tensors): {few(missing, "missing")}; '
            f'{few(keys.unexpected_keys, "unexpected")}; '
            f'{few(wrong, "of another shape")}. Give the checkpoint that was '
            'trained with the teacher config.')


def _shape(value: Any) -> Tuple[int, ...]:
    # What a module keeps beside tensors (get_extra_state) has none.
    return tuple(getattr(value, 'shape', ()))
