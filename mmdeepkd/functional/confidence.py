"""How sure a network is of samples and of classes."""
import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import check_logits, upcast, without_autocast


def sample_confidence(logits: Tensor) -> Tensor:
    """Return the probability of each sample's best class, at temperature 1.

    Args:
        logits: Floating logits of shape (N, C), C >= 2.

    Returns:
        Probabilities of shape (N,), float32 for half inputs.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The logits are not (N, C), or C < 2.

    Example:
        >>> import torch
        >>> sample_confidence(torch.tensor([[0., 0.], [1., 0.]]))
        tensor([0.5000, 0.7311])
    """
    check_logits(logits, 'logits')
    with without_autocast(logits):
        return F.softmax(upcast(logits), dim=1).amax(dim=1)


def class_confidence(logits: Tensor) -> Tensor:
    """Return each class's probability summed over the batch, (C,).

    Args:
        logits: Floating logits of shape (N, C), C >= 2; temperature 1.

    Returns:
        Sums of shape (C,), float32 for half inputs; 0 for N = 0.

    Raises:
        TypeError: The logits are not floating.
        ValueError: The logits are not (N, C), or C < 2.
    """
    check_logits(logits, 'logits')
    with without_autocast(logits):
        return F.softmax(upcast(logits), dim=1).sum(dim=0)


def lower_half(values: Tensor) -> Tensor:
    """Return which values are not above their median.

    The median of an even number of values is the mean of the middle two.

    Args:
        values: Floating tensor of shape (M,), float32 or float64.

    Returns:
        Tensor of shape (M,) in the dtype of ``values``: 1 or 0.

    Example:
        >>> import torch
        >>> lower_half(torch.tensor([1., 5., 2., 3.]))
        tensor([1., 0., 1., 0.])
    """
    if not values.numel():
        # A quantile of nothing is an error in torch.
        return torch.zeros_like(values)
    return (values <= values.quantile(0.5)).to(values.dtype)
