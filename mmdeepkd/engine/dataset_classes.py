"""The classes of a dataset, by its metainfo and by its annotation file."""
import json
import mmap
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

_KEY = b'"categories"'
# Bytes of a list of categories; that of LVIS, 1203 with definitions, has 0.4M.
_LONGEST = 2**24


class Category(NamedTuple):
    """A category of an annotation file, and the label of its boxes."""

    id: Any
    name: str
    label: int


def plain_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the datasets that wrappers (repeated, concatenated) hold.

    Args:
        dataset: Of a dataloader.
    """
    inner = getattr(dataset, 'datasets', None)
    if inner is None and hasattr(dataset, 'dataset'):
        inner = [dataset.dataset]
    if inner is None:
        yield dataset
    for each in inner or []:
        yield from plain_datasets(each)


def class_names(dataset: Any) -> Optional[Tuple[str, ...]]:
    """Return the classes of a dataset's metainfo, or None without.

    Args:
        dataset: Of mmdet, mmpretrain or MMEngine, or any other.
    """
    return _names(dataset, 'classes')


def thing_names(dataset: Any) -> Optional[Tuple[str, ...]]:
    """Return the classes that have boxes; a panoptic set has others too.

    Args:
        dataset: As for :func:`class_names`. None is returned for a panoptic
            set whose metainfo has new classes and mmdet's old things.
    """
    names, things = class_names(dataset), _names(dataset, 'thing_classes')
    if things is None:
        return names
    return things if set(things) <= set(names or ()) else None


def labelled_categories(dataset: Any) -> Optional[List[Category]]:
    """Return the categories of a COCO file that a dataset has labels for.

    mmdet numbers the categories that are among the metainfo's classes in the
    order of the file, whatever the order of the classes.

    Args:
        dataset: mmdet's CocoDataset or one like it; None is returned for
            others, and for files that are not on this machine or list no
            categories.
    """
    labels, path = (getattr(dataset, name, None)
                    for name in ('cat2label', 'ann_file'))
    if not isinstance(labels, dict) or not isinstance(
            path, str) or not Path(path).is_file():
        return None
    names = {
        entry.get('id'): str(entry.get('name'))
        for entry in _read_categories(path)
    }
    found = [Category(number, names[number], label)
             for number, label in labels.items() if number in names]
    # Labels of ids that are not in the file are not those of a COCO file.
    return None if not names or (labels and not found) else found


@contextmanager
def explain_no_images(dataloader: Any) -> Iterator[None]:
    """Explain the error of a dataset that has filtered out all its images.

    MMEngine's is "need at least one array to concatenate".

    Args:
        dataloader: Config of the dataloader that is built inside, or itself.

    Raises:
        ValueError: Such an error, with its usual cause.
    """
    try:
        yield
    except ValueError as error:
        if 'need at least one array to concatenate' not in str(error):
            raise
        found = ' or '.join(
            f'{config.get("type")} of '
            f'{config.get("ann_file") or config.get("data_prefix")} '
            f'(metainfo=dict(classes=(...)), {_shown(config)})'
            for config in _plain_configs(dataloader.get('dataset')))
        raise ValueError(
            f'the dataset {found} has no image left: see that its '
            'annotations are of its classes, and what filter_cfg drops.'
        ) from error


def _plain_configs(config: Any) -> Iterator[Dict[str, Any]]:
    """Yield the dataset configs that those of wrappers hold."""
    # Datasets that are built had images.
    if isinstance(config, dict):
        inner = config.get('datasets') or [config.get('dataset')]
        if inner == [None]:
            yield config
        for each in inner:
            yield from _plain_configs(each)


def _shown(config: Dict[str, Any]) -> str:
    names = (config.get('metainfo') or {}).get('classes')
    if names is None:
        return "not set: mmdet's default is COCO's 80 classes"
    if isinstance(names, str):
        return f'those of {names}'
    return f'{tuple(names[:4])}{" and more" if names[4:] else ""}'


def _names(dataset: Any, key: str) -> Optional[Tuple[str, ...]]:
    metainfo = getattr(dataset, 'metainfo', None)
    names = metainfo.get(key) if isinstance(metainfo, dict) else None
    return tuple(names) if isinstance(names, (list, tuple)) else None


def _read_categories(path: str) -> List[Dict[str, Any]]:
    """Return ``categories`` of a COCO file, of which little is read.

    The annotations of COCO's own training set take 10 s to parse.
    """
    if not Path(path).stat().st_size:
        return []
    with open(path, 'rb') as file, mmap.mmap(
            file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        key = content.rfind(_KEY)
        while key >= 0:
            text = content[key + len(_KEY):key + _LONGEST].decode(
                'utf-8', errors='ignore').lstrip(' \t\r\n:')
            if text.startswith('['):
                try:
                    found = json.JSONDecoder().raw_decode(text)[0]
                except ValueError:
                    found = []
                if all(isinstance(entry, dict) for entry in found):
                    return list(found)
            key = content.rfind(_KEY, 0, key)
    return []
