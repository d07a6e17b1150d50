"""Losses on a part of a detector's RoIs; background is the last column."""
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from mmdeepkd.functional.inputs import (
    check_logits_pair,
    check_sample_weight,
    check_target,
    upcast,
)
from mmdeepkd.registry import MODELS

from .base import AvgFactor, check_hard_target
from .settings import PrintsSettings


def loss_on_rows(loss: nn.Module, rows: Tensor, logits_student: Tensor,
                 logits_teacher: Tensor, target: Tensor,
                 weight: Optional[Tensor],
                 avg_factor: Optional[AvgFactor]) -> Dict[str, Tensor]:
    r"""Return a loss of some rows, averaged over these rows.

    ``avg_factor`` belongs to all rows (mmdet: the number of RoIs that
    count); the chosen rows are averaged over their share of it,

    .. math:: a' = a \sum_{n \in rows} w_n \Big/ \sum_n w_n,

    which is their number where every weight is 1 and the factor is N.
    Without it the rows' mean is taken. No row gives 0, in the graph.

    Args:
        loss: A distillation loss.
        rows: Bool mask of shape (N,).
        logits_student: Floating logits of shape (N, C).
        logits_teacher: Floating logits of shape (N, C).
        target: Of N rows.
        weight: Sample weights of shape (N,), all 1 when None.
        avg_factor: What all rows together are divided by, or None.

    Returns:
        ``{stream: scalar}``.

    Raises:
        ValueError: The weight is not (N,).
    """
    # Once: the host waits for the device wherever a mask is an index.
    index = rows.nonzero().squeeze(1)
    weights = torch.ones_like(rows, dtype=upcast(logits_student).dtype)
    if weight is not None:
        check_sample_weight(weight, rows.numel())
        weights = weight.to(weights)
        weight = weight[index]
    if avg_factor is not None:
        # All weights 0 must give the loss 0, not 0 * NaN.
        total = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        avg_factor = avg_factor * ((weights * rows).sum() / total)
    return loss(logits_student[index], logits_teacher[index], target[index],
                weight, avg_factor)


@MODELS.register_module()
class ForegroundLoss(PrintsSettings):
    """Another loss on the foreground RoIs only.

    Rows of the last column, the background, are dropped, and the loss is
    averaged over the others: :func:`loss_on_rows` says how with ``weight``
    and ``avg_factor``. It is the 'fg' form of the released detection code
    of GDKD (ZaberKo/detectron2-gdkd). Streams, the method's name, ``topk``
    and the warm-up are those of the inner loss, for hooks too.

    Args:
        loss: Config of the inner loss, over all classes and of one view.

    Raises:
        TypeError: It builds something that is no distillation loss, or one
            on features.
        ValueError: The inner loss compares two views, or takes the last
            class for background, of which the foreground has none.

    Example:
        >>> import torch
        >>> loss = ForegroundLoss(dict(type='mmdeepkd.KDLoss', temperature=1.))
        >>> logits_teacher = torch.tensor([[0., 1.], [5., 9.]])
        >>> loss(torch.zeros(2, 2), logits_teacher, torch.tensor([0, 1]))
        {'distill': tensor(0.1109)}
    """

    uses_target = True
    needs_background = True
    views = 1

    def __init__(self, loss: Dict[str, Any]) -> None:
        super().__init__()
        self.loss = MODELS.build(loss)
        name = type(self.loss).__name__
        if not getattr(self.loss, 'streams', None):
            raise TypeError(
                f'ForegroundLoss got {name}, which is no distillation loss: '
                'it must name its gradient streams in a class attribute '
                '`streams`, as mmdeepkd.KDLoss does.')
        if getattr(self.loss, 'needs_adapter', False):
            raise TypeError(
                f'ForegroundLoss got {name}, which compares features and not '
                'the logits of RoIs: list it in losses on its own.')
        views = getattr(self.loss, 'views', 1)
        if views != 1:
            raise ValueError(
                f'ForegroundLoss got {name}, which compares {views} views: '
                'RoIs have one, choose another loss.')
        if getattr(self.loss, 'needs_background', False):
            raise ValueError(
                f'ForegroundLoss got {name}, which needs the background rows '
                'that ForegroundLoss drops: use it on its own.')

    @property
    def streams(self) -> Tuple[str, ...]:
        """Streams of the inner loss."""
        return self.loss.streams

    @property
    def method(self) -> str:
        """Method of the inner loss."""
        return self.loss.method

    @property
    def warmup_factor(self) -> float:
        """Factor on every term of the inner loss."""
        return self.loss.warmup_factor

    @warmup_factor.setter
    def warmup_factor(self, value: float) -> None:
        self.loss.warmup_factor = value

    @property
    def topk(self) -> Optional[int]:
        """K of the inner loss; absent where that has none."""
        return self.loss.topk

    @topk.setter
    def topk(self, value: Optional[int]) -> None:
        self.loss.topk = value

    def forward(self,
                logits_student: Tensor,
                logits_teacher: Tensor,
                target: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None) -> Dict[str, Tensor]:
        """Return the inner loss of the foreground rows, by stream.

        Args:
            logits_student: Floating logits of shape (N, C), C >= 2.
            logits_teacher: Floating logits of shape (N, C).
            target: Class indices of shape (N,), int64; C - 1 is background.
            weight: Sample weights of shape (N,), all 1 when None.
            avg_factor: What the weighted sum over all rows, background too,
                is divided by; the foreground takes its share of it.

        Returns:
            ``{stream: scalar}``; 0, attached to the graph, without
            foreground.

        Raises:
            TypeError: A dtype is wrong.
            ValueError: A shape or a class index is wrong.
        """
        check_hard_target(target, type(self).__name__)
        check_logits_pair(logits_student, logits_teacher)
        check_target(target, logits_student)
        foreground = target != logits_student.size(1) - 1
        return loss_on_rows(self.loss, foreground, logits_student,
                            logits_teacher, target, weight, avg_factor)
