"""What the classes of an exported student are called."""
from os.path import expanduser
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS, DefaultScope
from torch import nn

# Of mmdet's two-stage detectors, of its others, of mmpretrain's models.
_HEADS = ('roi_head.bbox_head', 'bbox_head', 'head')
_NOBODY = ('neither the checkpoint nor the config names the classes, so mmdet '
           'will show those of COCO')


class _Named(NamedTuple):
    """Metainfo, with lower-case keys, and who gives it."""

    source: str
    metainfo: Dict[str, Any]


def count_classes(student: nn.Module) -> Optional[int]:
    """Return the number of classes of a model, None if it does not tell.

    Args:
        student: The model.
    """
    for path in _HEADS:
        part: Any = student
        for name in path.split('.'):
            part = getattr(part, name, None)
        # Of a cascade all stages have the same.
        part = part[0] if isinstance(part, nn.ModuleList) else part
        if isinstance(getattr(part, 'num_classes', None), int):
            return part.num_classes
    return None


def dataset_meta(meta: Dict[str, Any], cfg: Config,
                 count: Optional[int]) -> Tuple[Dict[str, Any], str]:
    """Return the metainfo to export, and what to warn of.

    The checkpoint's names, else those in the config, else those that the
    class of the data set has by default.

    Args:
        meta: ``meta`` of the checkpoint.
        cfg: Config of the run.
        count: Number of the student's classes.

    Returns:
        ``{}`` where nobody names the student's classes, and the warning, or
        ``''``.

    Raises:
        ValueError: The file or the config names another number of classes.
    """
    own, default = _declared(cfg)
    named = [_of_file(meta), own, default]
    source, metainfo = next((each for each in named
                             if each.metainfo.get('classes')), default)
    names = _read(metainfo.get('classes'))
    if not names:
        given = metainfo.get('classes')
        return {}, (f'{source} names the classes {given!r}, which is no file '
                    f'with a name in each line: {_NOBODY}'
                    if given else _NOBODY)
    metainfo = {**metainfo, 'classes': names}
    if count is not None and count not in _lengths(metainfo):
        said = (f'{source} names {len(names)} classes '
                f'({", ".join(map(str, names[:3]))}, ...) and the student '
                f'has {count}')
        if source == default.source:
            return {}, (f'{said}, so they are left out: set '
                        'metainfo=dict(classes=(...)) of '
                        'val_dataloader.dataset')
        raise ValueError(f'{said}: give the config and the checkpoint of one '
                         'run, and correct the names in '
                         'metainfo=dict(classes=(...)) of its datasets.')
    declared = {**default.metainfo, **own.metainfo}
    if list(names) == list(_read(declared.get('classes'))):
        # Its palette, too.
        metainfo = {**declared, **metainfo}
    return metainfo, ''


def _of_file(meta: Dict[str, Any]) -> _Named:
    given = meta.get('dataset_meta')
    if not given and 'CLASSES' in meta:
        given = dict(classes=meta['CLASSES'])
    return _Named('the checkpoint', _lower(given))


def _declared(cfg: Config) -> Tuple[_Named, _Named]:
    """Return what the validation set says of itself, and its class does."""
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader') or {}
    dataset: Any = loader.get('dataset') or {}
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    own = _lower(dataset.get('metainfo'))
    if dataset.get('classes'):
        # mmpretrain's datasets take the names so, too.
        own.setdefault('classes', dataset['classes'])
    default, name = {}, ''
    if dataset:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            built = DATASETS.get(dataset['type'])
        default = _lower(getattr(built, 'METAINFO', None))
        name = getattr(built, '__name__', '')
    return (_Named("the config's metainfo", own),
            _Named(f'the default of {name}', default))


def _read(names: Any) -> Sequence[str]:
    """Return the names, of which a data set may have been given the file."""
    if isinstance(names, str):
        try:
            names = list_from_file(expanduser(names))
        except (OSError, UnicodeDecodeError):
            return []
    return names or []


def _lengths(metainfo: Dict[str, Any]) -> List[int]:
    """Return how many classes there are; of a panoptic set, with boxes."""
    return [len(metainfo[key]) for key in ('classes', 'thing_classes')
            if key in metainfo]


def _lower(metainfo: Any) -> Dict[str, Any]:
    if not isinstance(metainfo, dict):
        return {}
    return {str(key).lower(): value for key, value in metainfo.items()}
