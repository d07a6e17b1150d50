"""What a distiller reads off mmpretrain's batches and preprocessors."""
from typing import List, Sequence, Tuple

import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmdeepkd.distillers import PixelFormat


def gather_target(data_samples: Sequence[DataSample],
                  num_classes: int) -> Tensor:
    """Return the labels that the student's own loss is trained on.

    Args:
        data_samples: Annotations of the N images.
        num_classes: C.

    Returns:
        Class indices (N,), int64; after Mixup, CutMix or another mixing of
        labels the scores (N, C), floating.

    Raises:
        ValueError: A sample has no label, several, or one that is no class
            (looked for on the CPU only: elsewhere it would make the host
            wait for the device).
    """
    samples = data_samples or []
    if any('gt_label' in s and s.gt_label.numel() != 1 for s in samples):
        raise ValueError(
            'a sample has several labels; losses on logits are defined for '
            'one class per image: use a single-label dataset, or losses on '
            'maps alone, such as mmdeepkd.DiffKDLoss.')
    # Scores that are not floating only spell the labels out (to_onehot).
    if samples and all(
            'gt_score' in s and s.gt_score.is_floating_point()
            for s in samples):
        return torch.stack([s.gt_score for s in samples])
    if not samples or not all('gt_label' in s for s in samples):
        raise ValueError(
            'the samples of the batch have no labels (gt_label or gt_score): '
            'train on a dataset with labels, and let PackInputs pack them.')
    target = torch.cat([s.gt_label for s in samples])
    if target.device.type == 'cpu':
        _check_range(target, samples, num_classes)
    return target


def _check_range(target: Tensor, samples: Sequence[DataSample],
                 num_classes: int) -> None:
    wrong = (target < 0) | (target >= num_classes)
    if wrong.any():
        index = int(wrong.nonzero()[0])
        name = samples[index].get('img_path', f'number {index} of a batch')
        raise ValueError(
            f'the image {name} has the label {int(target[index])}, the '
            f'classifier the classes 0 to {num_classes - 1}: set num_classes '
            'of both configs to that of the dataset, and leave images '
            'without a class out of it.')


def pixel_format(model: nn.Module, role: str) -> PixelFormat:
    """Read the pixel format off a classifier's preprocessor.

    Args:
        model: Student or teacher.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        TypeError: The preprocessor is of another kind.
    """
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, ClsDataPreprocessor):
        raise TypeError(
            f'the {role} has a {type(preprocessor).__name__}; the pixels of '
            'the teacher are computed from the mean, std and channel order of '
            'a ClsDataPreprocessor: give its config data_preprocessor=dict('
            "type='mmpretrain.ClsDataPreprocessor', ...).")
    # Single numbers are right for any number of channels.
    mean, std = (0.0, ), (1.0, )
    if preprocessor._enable_normalize:
        mean = tuple(preprocessor.mean.flatten().tolist())
        std = tuple(preprocessor.std.flatten().tolist())
    return PixelFormat(mean, std, preprocessor.to_rgb, preprocessor.pad_value,
                       preprocessor.pad_size_divisor)


def image_shapes(inputs: Tensor, data_samples: Sequence[DataSample],
                 divisor: int) -> List[Tuple[int, int]]:
    """Return the (height, width) of each image of a batch before padding.

    Args:
        inputs: (N, C, H, W), padded by the student's preprocessor.
        data_samples: Annotations of the N images; empty where they do not
            belong to these inputs.
        divisor: What the preprocessor pads to multiples of.

    Raises:
        ValueError: Images may be padded, but the samples do not say where.
    """
    padded = tuple(inputs.shape[-2:])
    shapes = [tuple(s.get('img_shape', (0, 0)))[:2] for s in data_samples]
    largest = [-(-max(side) // divisor) * divisor for side in zip(*shapes)]
    if tuple(largest) == padded and all(map(all, shapes)):
        return shapes
    if divisor > 1:
        raise ValueError(
            f'the preprocessor pads the images to {padded}, multiples of '
            f'{divisor}, but the img_shape of the samples does not say from '
            'where (of two views it cannot): put img_shape into meta_keys of '
            'PackInputs, or set pad_size_divisor=1.')
    # Not every transform of mmpretrain keeps img_shape up to date, and
    # batches stacked from images of one size have no padding.
    return [padded] * len(inputs)
