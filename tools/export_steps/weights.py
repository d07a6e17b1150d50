"""The student's tensors and metadata, out of any checkpoint of a run."""
from collections import OrderedDict
from typing import Any, Dict, Optional

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor, nn

from mmdeepkd.checkpoints import compare_tensors, decode_state, few

# What wraps a student's names elsewhere: DDP, mmrazor, a module that holds
# student and teacher. With one of them the other parts are left out.
_PREFIXES = ('', 'module.', 'architecture.', 'student.')
# The distiller's own parts, in checkpoints of mmdeepkd.
_ADAPTERS = 'distill.'
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
        ValueError: It holds no tensors, or no average for ``raw``.
    """
    if not isinstance(loaded, dict):
        raise ValueError(f'{source} holds a {type(loaded).__name__}, not a '
                         'dict of tensors: give a checkpoint of a training.')
    if not raw:
        return loaded.get('state_dict', loaded.get('model', loaded))
    if _EMA not in loaded:
        raise ValueError(
            f'{source} holds no {_EMA}: its run had no EMAHook, so leave '
            '--raw out.')
    return {
        key[len('module.'):]: value for key, value in loaded[_EMA].items()
        if key.startswith('module.')
    }


def load_student(student: nn.Module, tensors: Dict[str, Any],
                 source: str) -> None:
    """Load the student's tensors, which must all be there, and no others.

    Args:
        student: The model; changed in place.
        tensors: What :func:`pick_tensors` returned.
        source: Name of the checkpoint, for messages.

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


def plain_meta(loaded: Dict[str, Any], cfg: Config,
               text: str) -> Dict[str, Any]:
    """Return the metadata of the exported file.

    Args:
        loaded: The checkpoint.
        cfg: Config of the run.
        text: The student's config, which MMEngine's inferencers read.

    Returns:
        ``cfg``, ``dataset_meta`` if the classes are known, and what is known
        of the training.
    """
    given = decode_state(loaded.get('meta') or {})
    meta = {key: given[key] for key in _KEPT_META if key in given}
    meta['cfg'] = text
    dataset_meta = given.get('dataset_meta')
    if not dataset_meta and 'CLASSES' in given:
        dataset_meta = dict(classes=given['CLASSES'])
    declared = _declared_metainfo(cfg)
    dataset_meta = {
        key.lower(): value for key, value in (dataset_meta or declared).items()
    }
    if list(dataset_meta.get('classes') or []) == list(
            declared.get('classes') or []):
        dataset_meta = {**declared, **dataset_meta}
    if dataset_meta.get('classes'):
        meta['dataset_meta'] = dataset_meta
    return _plain(meta)


def _without_prefix(tensors: Dict[str, Any], prefix: str) -> Dict[str, Any]:
    return {
        key[len(prefix):]: value for key, value in tensors.items()
        if key.startswith(prefix)
        and not key.startswith(prefix + _ADAPTERS)
    }


def _declared_metainfo(cfg: Config) -> Dict[str, Any]:
    """Return what the validation set says of itself, without its files."""
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader') or {}
    dataset: Optional[Any] = loader.get('dataset')
    while dataset and ('dataset' in dataset or 'datasets' in dataset):
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    if not dataset:
        return {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        built = DATASETS.get(dataset['type'])
    metainfo = dict(getattr(built, 'METAINFO', {}))
    metainfo.update(dataset.get('metainfo') or {})
    return {key.lower(): value for key, value in metainfo.items()}


def _plain(value: Any) -> Any:
    """Return lists for arrays, dicts for their subclasses."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(entry) for entry in value)
    return value.tolist() if hasattr(value, 'tolist') else value
