"""Which image file is empty, when the decoder only says that one is."""
import os
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Sequence

from mmengine.runner import Runner

# OpenCV and Pillow, of a file without bytes. Of other files that are no
# image mmcv names the path.
_MESSAGES = ('!buf.empty()', 'cannot identify image file')


@contextmanager
def name_empty_image(runner: Runner) -> Iterator[None]:
    """Name the empty image file that an error inside comes from.

    Looking at every file takes a while, and happens only after the error.

    Args:
        runner: Its training and validation data are searched.

    Raises:
        RuntimeError: Such an error, with the file's name.
    """
    try:
        yield
    except Exception as error:
        if not any(message in str(error) for message in _MESSAGES):
            raise
        path = _first_empty(_datasets(runner))
        if path is None:
            raise
        raise RuntimeError(
            f'the image {path} is empty (0 bytes): copy it again, or remove '
            'it from the annotations; `find DATA_ROOT -type f -empty` lists '
            'all such files.') from error


def _datasets(runner: Runner) -> Sequence[Any]:
    loops = (runner.train_loop, runner.val_loop)
    loaders = [getattr(loop, 'dataloader', None) for loop in loops]
    return [loader.dataset for loader in loaders if loader is not None]


def _first_empty(datasets: Sequence[Any]) -> Optional[str]:
    for dataset in datasets:
        if not hasattr(dataset, 'get_data_info'):
            continue
        for index in range(len(dataset)):
            path = dataset.get_data_info(index).get('img_path', '')
            if os.path.isfile(path) and not os.path.getsize(path):
                return str(path)
    return None
