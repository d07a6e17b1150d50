"""What all logit losses share: their inputs, the streams, the reduction."""
import math
from abc import ABC, abstractmethod
from typing import Dict, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmdeepkd.functional import standardize_logits
from mmdeepkd.functional.inputs import check_sample_weight, check_temperature

from .settings import PrintsSettings

AvgFactor = Union[float, Tensor]


def check_weight(value: float, name: str) -> None:
    """Raise unless a loss weight is finite and not negative."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f'{name} is {value} but must be finite and >= 0: it '
                         'weighs a term of the loss.')


def check_weights(values: Sequence[float], name: str, count: int) -> None:
    """Raise unless there are ``count`` finite weights >= 0."""
    if len(values) != count:
        raise ValueError(f'{name} has {len(values)} entries but must have '
                         f'{count}: one weight per term of the loss.')
    for i, value in enumerate(values):
        check_weight(value, f'{name}[{i}]')


def scaled(factor: float, loss: Tensor) -> Tensor:
    """Return the product; by 1 it is the loss, with no node in its graph."""
    return loss if factor == 1 else factor * loss


def reduce_loss(loss: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None) -> Tensor:
    r"""Reduce per-sample losses as mmdet does.

    .. math:: \frac{\sum_n w_n l_n}{a + \epsilon_{32}}
        \text{ with an average factor } a, \text{ else }
        \frac{1}{N} \sum_n w_n l_n

    Args:
        loss: Per-sample losses of shape (N,).
        weight: Sample weights of shape (N,), all 1 when None.
        avg_factor: The number or 0-d tensor to divide the sum by. The
            float32 epsilon added to it makes an average over nothing 0.

    Returns:
        A scalar in the dtype of ``loss``; for N = 0 it is 0 and still part
        of the graph of ``loss``.

    Raises:
        ValueError: The weight is not (N,) or avg_factor is not a scalar.
    """
    if weight is not None:
        check_sample_weight(weight, loss.numel())
        loss = loss * weight.to(loss)
    if avg_factor is None:
        # As mean() to the bit; its backward would fill (N,) first.
        return loss.sum() / max(1, loss.numel())
    if isinstance(avg_factor, Tensor):
        if avg_factor.dim():
            raise ValueError(
                f'avg_factor has shape {tuple(avg_factor.shape)} but must '
                'be a number or a 0-d tensor: sum or squeeze it.')
        avg_factor = avg_factor.to(loss)
    return loss.sum() / (avg_factor + torch.finfo(torch.float32).eps)


def check_hard_target(target: Tensor, name: str) -> None:
    """Raise if ``target`` holds the soft scores of Mixup or CutMix."""
    if target.is_floating_point() and target.dim() == 2:
        raise ValueError(
            f'{name} splits the classes by the target but target holds soft '
            f'scores of shape {tuple(target.shape)}: train without Mixup, '
            'CutMix and label smoothing in the data, or use a loss that '
            'needs no target, such as KDLoss or GDKDLoss.')


class DistillationLoss(PrintsSettings, ABC):
    """A loss on student and teacher logits, one scalar per gradient stream.

    The teacher's logits are detached. Half-precision logits give float32
    losses, inside autocast too.

    Attributes:
        streams: The streams that the loss feeds, in the order of its terms.
        method: The method's name in the log, ``<stream>.loss_<method>``.
        uses_target: Whether the loss splits by the target class; it then
            refuses soft targets, which name no single class.
        needs_background: Whether the last class must be background.
        views: How many augmented views of a sample the loss compares; with
            two, the logits of student and teacher are each a pair.
        warmup_factor: Factor on every term, 1.0 until a hook sets it.

    Args:
        temperature: The positive temperature.
        standardize: Whether to standardise the logits of both first.
    """

    streams: Tuple[str, ...]
    method: str
    uses_target: bool = True
    needs_background: bool = False
    views: int = 1

    def __init__(self, temperature: float, standardize: bool) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature
        self.standardize = standardize
        self.warmup_factor = 1.0

    @abstractmethod
    def per_sample(self, logits_student: Tensor, logits_teacher: Tensor,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted terms, each (N,), in the order of streams."""

    def forward(self,
                logits_student: Tensor,
                logits_teacher: Tensor,
                target: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None) -> Dict[str, Tensor]:
        """Return the distillation loss of every stream.

        Args:
            logits_student: Floating logits of shape (N, C), C >= 2.
            logits_teacher: Floating logits of shape (N, C).
            target: Class indices of shape (N,), int64, or, where
                ``uses_target`` is False, soft scores of shape (N, C).
            weight: Sample weights of shape (N,), all 1 when None.
            avg_factor: What to divide the weighted sum by; the mean over N
                is taken when None.

        Returns:
            ``{stream: scalar}``, weights and warm-up applied: the sum of the
            values is the whole distillation loss. An empty batch gives 0,
            attached to the graph of ``logits_student``.

        Raises:
            TypeError: A dtype is wrong.
            ValueError: A shape or a class index is wrong, or the loss splits
                by the target class and gets soft scores.
        """
        if self.uses_target:
            check_hard_target(target, type(self).__name__)
        logits_teacher = logits_teacher.detach()
        if self.standardize:
            logits_student = standardize_logits(logits_student)
            logits_teacher = standardize_logits(logits_teacher)
        terms = self.per_sample(logits_student, logits_teacher, target, weight)
        return self._reduced(terms, weight, avg_factor)

    def _reduced(self, terms: Sequence[Tensor], weight: Optional[Tensor],
                 avg_factor: Optional[AvgFactor]) -> Dict[str, Tensor]:
        return {
            stream:
            scaled(self.warmup_factor, reduce_loss(term, weight, avg_factor))
            for stream, term in zip(self.streams, terms)
        }
