"""Scenes to choose learning rates on, others than those of the results."""
import json
from pathlib import Path

from mmdeepkd.datasets import make_digits_detection

from ..bench_steps.arms import Options

#: Relative to the repository, as the configs' data are.
FOLDER = 'data/digits_tuning'
_FILE = 'annotations/tuning.json'
# As many as the digits set has; scene i is the same in every larger set.
SHIPPED = 150
COUNT = 150


def make_tuning_scenes(root: Path, shipped: int = SHIPPED,
                       count: int = COUNT) -> None:
    """Write validation scenes beyond those of the digits set.

    They show the same digits' images as its validation scenes, placed anew.

    Args:
        root: Folder to create.
        shipped: Validation scenes of the digits set, which are left out.
        count: How many there are to be.
    """
    # No scene of its training part is used.
    make_digits_detection(root, num_train=1, num_val=shipped + count)
    scenes = json.loads((root / 'annotations' / 'val.json').read_text())
    scenes['images'] = scenes['images'][shipped:]
    kept = {image['id'] for image in scenes['images']}
    scenes['annotations'] = [box for box in scenes['annotations']
                             if box['image_id'] in kept]
    (root / _FILE).write_text(json.dumps(scenes))


def validated_on_them() -> Options:
    """Return the overrides that let a config validate on these scenes."""
    return (('val_dataloader.dataset.data_root', f'{FOLDER}/'),
            ('val_dataloader.dataset.ann_file', _FILE),
            ('val_evaluator.ann_file', f'{FOLDER}/{_FILE}'))
