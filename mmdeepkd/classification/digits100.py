"""Digits-100 as a dataset of mmpretrain."""
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdeepkd.datasets import make_digit_pairs
from mmdeepkd.registry import DATASETS


@DATASETS.register_module()
class Digits100(BaseDataset):
    """Two handwritten digits side by side: 8x16 pixels, 100 classes.

    Made in memory from scikit-learn's bundled digits; there are no files. The
    images are (8, 16, 3) uint8 with three equal channels, because
    mmpretrain's transforms expect colour. See
    :func:`mmdeepkd.datasets.make_digit_pairs`.

    Args:
        split: ``'train'`` (2000 pairs), ``'val'`` (2000) or ``'test'``
            (4000).
        seed: Seed of the split, the pairs and their noise, >= 0.
        pipeline: Transforms, as for every dataset of mmpretrain.
        test_mode: Whether an image that cannot be prepared is an error.
        indices: The pairs to use, or how many of the first; None: all.

    Raises:
        ValueError: There is no such split, or the seed is negative.
    """

    METAINFO = dict(classes=tuple(f'{label:02d}' for label in range(100)))

    def __init__(self,
                 split: str,
                 seed: int = 0,
                 pipeline: Sequence[Any] = (),
                 test_mode: bool = False,
                 indices: Optional[Union[int, Sequence[int]]] = None) -> None:
        self.split = split
        self.seed = seed
        # A few megabytes of arrays: pickling each sample would only cost time.
        super().__init__(
            ann_file='',
            pipeline=pipeline,
            test_mode=test_mode,
            indices=indices,
            serialize_data=False)

    def load_data_list(self) -> List[Dict[str, Any]]:
        """Return ``img``, ``gt_label`` and the size of every pair."""
        pairs = make_digit_pairs(self.split, self.seed)
        colour = np.repeat(pairs.images[..., None], 3, axis=3)
        size = pairs.images.shape[1:]
        return [
            dict(img=img, gt_label=int(label), img_shape=size, ori_shape=size)
            for img, label in zip(colour, pairs.labels)
        ]
