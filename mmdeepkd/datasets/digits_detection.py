"""A small detection set in COCO format: handwritten digits on scenes."""
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from .digit_scenes import SCENE_SIZE, Box, draw_scene

DIGITS_CLASSES = tuple('0123456789')

# Raised whenever the pixels or the annotations of a given seed change.
_VERSION = 1
_MAX_DIGITS = 5
# Detectors must survive scenes without a box, so every 25th has none.
_EMPTY_EVERY = 25
_VAL_DIGITS_PER_CLASS = 36

Progress = Callable[[int, int], None]


def make_digits_detection(root: Union[str, Path],
                          num_train: int = 600,
                          num_val: int = 150,
                          seed: int = 0,
                          progress: Optional[Progress] = None) -> bool:
    """Write the digits detection set.

    scikit-learn's bundled 8x8 digits (real handwriting) are enlarged 2 to 4
    times and placed on noisy 128x128 scenes, at most 5 on each. Training and
    validation scenes use disjoint digits. Scene i depends only on the seed,
    its split and i.

    Args:
        root: Folder to create; afterwards it holds ``train/``, ``val/``,
            ``annotations/train.json`` and ``annotations/val.json``.
        num_train: Number of training scenes, >= 1.
        num_val: Number of validation scenes, >= 1.
        seed: Seed of the split and of the scenes, >= 0.
        progress: Called as ``progress(scenes_done, scenes_in_total)``.

    Returns:
        ``True`` if the set was written, ``False`` if the folder already held
        exactly this set.

    Raises:
        ValueError: A number of scenes is below 1 or the seed is negative.
        FileExistsError: The folder holds something this function did not
            write; nothing is touched.

    Example:
        >>> make_digits_detection('data/digits')
        True
    """
    if min(num_train, num_val) < 1 or seed < 0:
        raise ValueError(
            'make_digits_detection needs num_train >= 1, num_val >= 1 and '
            f'seed >= 0, got {num_train}, {num_val} and {seed}.')
    root = Path(root)
    recipe = dict(
        version=_VERSION, num_train=num_train, num_val=num_val, seed=seed)
    if _held_recipe(root) == recipe:
        return False
    root.parent.mkdir(parents=True, exist_ok=True)
    # Drawn aside and moved in one step, so that a set is whole or absent.
    with tempfile.TemporaryDirectory(
            dir=root.parent, prefix='.digits-') as scratch:
        draft = Path(scratch) / 'digits'
        _write_set(draft, recipe, progress)
        if root.exists():
            shutil.rmtree(root)
        os.replace(draft, root)
    return True


def _held_recipe(root: Path) -> Optional[Dict[str, int]]:
    """Return the recipe of the set in ``root``; refuse foreign folders."""
    marker = root / 'recipe.json'
    if marker.is_file():
        held: Dict[str, int] = json.loads(marker.read_text())
        return held
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(
            f'{root} exists and was not written by make_digits_detection; '
            'move it away or choose another folder.')
    return None


def _write_set(draft: Path, recipe: Dict[str, int],
               progress: Optional[Progress]) -> None:
    digits, labels = load_digits(return_X_y=True)
    digits = digits.reshape(-1, 8, 8) / 16
    pools = _disjoint_pools(labels, recipe['seed'])
    total, done = recipe['num_train'] + recipe['num_val'], 0
    (draft / 'annotations').mkdir(parents=True)
    for split, (name, pool) in enumerate(pools.items()):
        (draft / name).mkdir()
        scenes = []
        for index in range(recipe[f'num_{name}']):
            random = np.random.RandomState([recipe['seed'], split, index])
            empty = index % _EMPTY_EVERY == _EMPTY_EVERY - 1
            count = 0 if empty else random.randint(1, _MAX_DIGITS + 1)
            picks = random.choice(pool, count, replace=False)
            pixels, boxes = draw_scene(random, digits[picks])
            Image.fromarray(pixels).save(draft / name / _file_name(index))
            scenes.append([(box, int(label))
                           for box, label in zip(boxes, labels[picks]) if box])
            done += 1
            if progress is not None:
                progress(done, total)
        (draft / 'annotations' / f'{name}.json').write_text(
            json.dumps(_coco(scenes)))
    (draft / 'recipe.json').write_text(json.dumps(recipe))


def _disjoint_pools(labels: np.ndarray, seed: int) -> Dict[str, np.ndarray]:
    order = np.random.RandomState(seed).permutation(len(labels))
    classes = [order[labels[order] == c] for c in range(len(DIGITS_CLASSES))]
    cut = _VAL_DIGITS_PER_CLASS
    return dict(
        train=np.concatenate([members[cut:] for members in classes]),
        val=np.concatenate([members[:cut] for members in classes]))


def _file_name(index: int) -> str:
    return f'{index:06d}.png'


def _coco(scenes: List[List[Tuple[Box, int]]]) -> Dict[str, Any]:
    """Return the COCO dictionary of one split; all ids start at 1."""
    annotations: List[Dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, 1):
        for box, label in scene:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=label + 1,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0))
    return dict(
        images=[
            dict(
                id=index + 1,
                file_name=_file_name(index),
                height=SCENE_SIZE,
                width=SCENE_SIZE) for index in range(len(scenes))
        ],
        annotations=annotations,
        categories=[
            dict(id=index, name=name)
            for index, name in enumerate(DIGITS_CLASSES, 1)
        ])
