"""The classes of a dataset, by its metainfo and by its annotation file."""
import json
import mmap
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

_KEY = b'"categories"'
# Bytes of a list of categories; that of LVIS, 1203 with definitions, has 0.4M.
_LONGEST = 2**24


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
    names = getattr(dataset, 'metainfo', {}).get('classes')
    return tuple(names) if isinstance(names, (list, tuple)) else None


def labelled_names(dataset: Any) -> Optional[List[str]]:
    """Return the names of a COCO file's categories, label by label.

    mmdet numbers the categories that are among the metainfo's classes in the
    order of the file, whatever the order of the classes.

    Args:
        dataset: mmdet's CocoDataset or one like it; None is returned for
            others, and for files that are not on this machine.
    """
    ids, path = (getattr(dataset, name, None)
                 for name in ('cat_ids', 'ann_file'))
    if ids is None or not isinstance(path, str) or not Path(path).is_file():
        return None
    categories = _read_categories(path)
    names = {entry.get('id'): entry.get('name') for entry in categories}
    return [str(names[i]) for i in ids] if set(ids) <= set(names) else None


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
        dataset = dataloader.get('dataset', {})
        while 'dataset' in dataset:
            dataset = dataset['dataset']
        names = (dataset.get('metainfo') or {}).get('classes')
        raise ValueError(
            f'the dataset {dataset.get("type")} of '
            f'{dataset.get("ann_file") or dataset.get("data_prefix")} has no '
            'image left: see that its annotations are of the classes in '
            f'metainfo=dict(classes=(...)), which {_shown(names)}, and what '
            'filter_cfg drops.') from error


def _shown(names: Optional[Tuple[str, ...]]) -> str:
    if names is None:
        return "is not set (mmdet's default is COCO's 80 classes)"
    return f'is {tuple(names[:4])}{" and more" if names[4:] else ""}'


def _read_categories(path: str) -> List[Dict[str, Any]]:
    """Return ``categories`` of a COCO file, of which little is read.

    The annotations of COCO's own training set take 10 s to parse.
    """
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
