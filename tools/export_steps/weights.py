"""The student's tensors and metadata, out of any checkpoint of a run."""
from collections import OrderedDict
from typing import Any, Dict

from torch import Tensor, nn

from mmdeepkd.checkpoints import compare_tensors, few, tensors_of
from mmdeepkd.engine.adapters import ADAPTERS

# What wraps a student's names elsewhere: DDP, mmrazor, a module that holds
# student and teacher. With one of them the other parts are left out.
_PREFIXES = ('', 'module.', 'architecture.', 'student.')
_EMA = 'ema_state_dict'
# What of a training's metadata says where the weights come from.
_KEPT_META = ('epoch', 'iter', 'seed', 'time', 'mmengine_version')


def pick_tensors(loaded: Any, source: str, raw: bool) -> Dict[str, Any]:
    """Return the tensors of a checkpoint by name.

    Args:
        loaded: The checkpoint.
        source: Its name, for messages.
        raw: Of a run with MMEngine's EMAHook take the weights that were
            trained, not their average. The hook swaps the two when it saves:
            ``state_dict`` holds the average, ``ema_state_dict`` the trained.

    Raises:
        RuntimeError: It holds no tensors.
        ValueError: It holds no average, for ``raw``.
    """
    tensors = tensors_of(loaded, source)
    if not raw:
        return tensors
    if _EMA not in loaded:
        raise ValueError(
            f'{source} holds no {_EMA}: its run had no EMAHook, so leave '
            '--raw out.')
    return {
        key[len('module.'):]: value for key, value in loaded[_EMA].items()
        if key.startswith('module.')
    }


def load_student(student: nn.Module, tensors: Dict[str, Any],
                 source: str) -> str:
    """Load the student's tensors, which must all be there, and no others.

    Args:
        student: The model; changed in place.
        tensors: What :func:`pick_tensors` returned.
        source: Name of the checkpoint, for messages.

    Returns:
        What stands before their names in the file.

    Raises:
        ValueError: A tensor is missing, unexpected or of another shape.
    """
    own = student.state_dict()
    found = [_without_prefix(tensors, prefix) for prefix in _PREFIXES]
    reports = [compare_tensors('student', source, part, own) for part in found]
    best = max(range(len(found)), key=lambda i: reports[i].matched)
    report = reports[best]
    if report.missing or report.unexpected or report.mismatched:
        raise ValueError(
            f"{source} does not hold the config's student ({len(own)} "
            f'tensors): {few(report.missing, "missing")}; '
            f'{few(report.unexpected, "unexpected")}; '
            f'{few(report.mismatched, "of another shape")}. Give the config '
            'that it was trained with.')
    student.load_state_dict(found[best], strict=False)
    return _PREFIXES[best]


def plain_state(model: nn.Module) -> 'OrderedDict[str, Tensor]':
    """Return a state_dict that holds the model's tensors and nothing else.

    Args:
        model: The model.
    """
    state = model.state_dict()
    # A view would be saved with all that it is a view of.
    plain = OrderedDict(
        (key, value.detach().cpu().clone()) for key, value in state.items())
    # The versions of the modules.
    plain._metadata = state._metadata
    return plain


def plain_meta(given: Dict[str, Any], dataset_meta: Dict[str, Any],
               text: str) -> Dict[str, Any]:
    """Return the metadata of the exported file.

    Args:
        given: ``meta`` of the checkpoint.
        dataset_meta: Classes and palette, if they are known.
        text: The student's config, which MMEngine's inferencers read.

    Returns:
        All of these, and what is known of the training.
    """
    meta = {key: given[key] for key in _KEPT_META if key in given}
    meta['cfg'] = text
    if dataset_meta:
        meta['dataset_meta'] = dataset_meta
    return _plain(meta)


def _without_prefix(tensors: Dict[str, Any], prefix: str) -> Dict[str, Any]:
    return {
        key[len(prefix):]: value for key, value in tensors.items()
        if key.startswith(prefix)
        # The distiller's own parts, in checkpoints of mmdeepkd.
        and not key.startswith(f'{prefix}{ADAPTERS}.')
    }


def _plain(value: Any) -> Any:
    """Return lists for arrays, dicts for their subclasses."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(entry) for entry in value)
    return value.tolist() if hasattr(value, 'tolist') else value
