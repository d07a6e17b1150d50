"""The preprocessor of batches that hold two views of every image."""
from typing import Any, Dict, Optional, Sequence

from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor

from mmdeepkd.distillers.base_distiller import Losses
from mmdeepkd.registry import MODELS

#: What is appended to the names of the student's losses, by number of views.
VIEW_SUFFIXES = {1: ('', ), 2: ('_weak', '_strong')}


@MODELS.register_module()
class TwoViewDataPreprocessor(ClsDataPreprocessor):
    """Normalise a weak and a strong view of every image.

    The views come from ``mmpretrain.MultiView`` with two lists of transforms,
    one view of each, weak first; both collate functions of MMEngine batch
    them. A batch of one view, as in validation, is preprocessed as
    ClsDataPreprocessor does.

    Args:
        mean: Pixel mean of the channels; None: no normalisation.
        std: Pixel standard deviation of the channels.
        pad_size_divisor: Height and width are padded to multiples of this.
        pad_value: Value of padded pixels.
        to_rgb: Whether to flip the channels from BGR to RGB.
        to_onehot: Whether to give the labels as scores too.
        num_classes: Number of classes, for ``to_onehot``.
        batch_augments: None; anything else is refused.

    Raises:
        ValueError: There are batch augmentations.

    Example:
        >>> # in a config
        >>> data_preprocessor = dict(
        ...     type='mmdeepkd.TwoViewDataPreprocessor',
        ...     mean=[123.675, 116.28, 103.53],
        ...     std=[58.395, 57.12, 57.375],
        ...     to_rgb=True)
        >>> view = [dict(type='mmpretrain.RandomResizedCrop', scale=224)]
        >>> train_pipeline = [
        ...     dict(type='LoadImageFromFile'),
        ...     dict(
        ...         type='mmpretrain.MultiView',
        ...         num_views=[1, 1],
        ...         transforms=[view, [*view, strong_augmentation]]),
        ...     dict(type='mmpretrain.PackInputs', meta_keys=())
        ... ]
    """

    def __init__(self,
                 mean: Optional[Sequence[float]] = None,
                 std: Optional[Sequence[float]] = None,
                 pad_size_divisor: int = 1,
                 pad_value: float = 0,
                 to_rgb: bool = False,
                 to_onehot: bool = False,
                 num_classes: Optional[int] = None,
                 batch_augments: Optional[Dict[str, Any]] = None) -> None:
        if batch_augments is not None:
            raise ValueError(
                'TwoViewDataPreprocessor has batch_augments, but Mixup and '
                'CutMix of two views are not defined: remove batch_augments, '
                'or use a loss of one view.')
        super().__init__(mean, std, pad_size_divisor, pad_value, to_rgb,
                         to_onehot, num_classes)

    def forward(self,
                data: Dict[str, Any],
                training: bool = False) -> Dict[str, Any]:
        """Return the batch, on the model's device, normalised.

        Args:
            data: ``inputs`` of one view, as ClsDataPreprocessor takes them,
                or a list of two such; ``data_samples``, one per image.
            training: Whether the model trains.

        Returns:
            ``inputs``, a tensor (N, C, H, W) for one view, a list of two for
            two, and ``data_samples``.

        Raises:
            ValueError: There are more than one but not two views.
        """
        inputs = data['inputs']
        if not _has_views(inputs):
            return super().forward(data, training)
        if len(inputs) != 2:
            raise ValueError(
                f'inputs holds {len(inputs)} views of every image, but a weak '
                'and a strong one are needed: give mmpretrain.MultiView two '
                'lists of transforms and num_views=[1, 1].')
        # The labels once, with the first view.
        weak = super().forward(dict(data, inputs=inputs[0]), training)
        strong = super().forward(dict(inputs=inputs[1]), training)
        return dict(
            inputs=[weak['inputs'], strong['inputs']],
            data_samples=weak['data_samples'])


def task_names(losses: Losses, suffix: str) -> Losses:
    """Rename mmpretrain's ``loss``, which is the total's name in the log.

    Args:
        losses: Of the student, for one view.
        suffix: Of that view.
    """
    return {('loss_cls' if name == 'loss' else name) + suffix: value
            for name, value in losses.items()}


def _has_views(inputs: Any) -> bool:
    """Return whether the items are batches rather than images."""
    if isinstance(inputs, Tensor) or not len(inputs):
        return False
    first = inputs[0]
    return not isinstance(first, Tensor) or first.dim() == 4
