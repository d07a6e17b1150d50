"""GDKD of the foreground and DKD of the background RoIs in one loss."""
from typing import Dict, Optional, Sequence

from torch import Tensor

from mmdeepkd.functional.inputs import (
    check_choice,
    check_logits_pair,
    check_target,
)
from mmdeepkd.registry import MODELS

from .base import AvgFactor, check_hard_target, check_weights
from .dkd_loss import DKDLoss
from .foreground_loss import loss_on_rows
from .gdkd_loss import GDKD3Loss
from .settings import PrintsSettings


@MODELS.register_module()
class GDKDSLoss(PrintsSettings):
    r"""GDKD3 on the foreground RoIs and DKD on the background ones.

    .. math:: L = w_0\,\mathrm{high} + w_1\,\mathrm{low_{other}}
        \text{ (foreground)} + w_2\,\mathrm{TCKD} + w_3\,\mathrm{NCKD}
        \text{ (background)}

    with the groups {best}, {second}, {rest} of the teacher in the
    foreground. Released detection code of GDKD only
    (ZaberKo/detectron2-gdkd). Each part is averaged over its own rows:
    :func:`loss_on_rows` says how with ``weight`` and ``avg_factor``. The
    terms of w0 and w2 are the stream ``target``, the others ``non_target``.

    The released code scales the loss by min(iter / 5000, 1), iter from 0:
    set ``mmdeepkd.WarmupHook`` with ``iters=5000`` for it.

    Attributes:
        warmup_factor: Factor on every term, 1.0 until a hook sets it.

    Args:
        weights: (w0, w1, w2, w3), each finite and >= 0.
        temperature: The positive temperature.
        background: Which rows are background: by 'label', or where the
            'teacher' ranks the background first.
        split: The class that DKD splits off the background rows: the
            'target', or 'top1', the teacher's best class. With background
            by 'teacher' and split 'top1' no target is needed.

    Example:
        >>> import torch
        >>> loss = GDKDSLoss(split='top1')
        >>> losses = loss(torch.randn(8, 5), torch.randn(8, 5),
        ...               torch.randint(5, (8, )))
        >>> sorted(losses)
        ['non_target', 'target']
    """

    streams = ('target', 'non_target')
    method = 'gdkds'
    needs_background = True
    views = 1

    def __init__(self,
                 weights: Sequence[float] = (1.0, 0.25, 1.0, 0.25),
                 temperature: float = 1.0,
                 background: str = 'label',
                 split: str = 'target') -> None:
        super().__init__()
        check_weights(weights, 'weights', 4)
        check_choice(background, 'background', ('label', 'teacher'))
        check_choice(split, 'split', ('target', 'top1'))
        self.weights = tuple(weights)
        # The second group has one class, so nothing inside.
        self.foreground_loss = GDKD3Loss(2, (weights[0], 0.0, weights[1]),
                                         temperature)
        self.background_loss = DKDLoss(*weights[2:], temperature)
        self.background = background
        self.split = split
        self.uses_target = background == 'label' or split == 'target'
        self.warmup_factor = 1.0

    def forward(self,
                logits_student: Tensor,
                logits_teacher: Tensor,
                target: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None) -> Dict[str, Tensor]:
        """Return the sum of both parts, by stream.

        Args:
            logits_student: Floating logits of shape (N, C), C >= 2.
            logits_teacher: Floating logits of shape (N, C).
            target: Class indices of shape (N,), int64; C - 1 is background.
                Unused with background 'teacher' and split 'top1'.
            weight: Sample weights of shape (N,), all 1 when None.
            avg_factor: What the weighted sum over all rows is divided by;
                each part takes its share of it.

        Returns:
            ``{stream: scalar}``; a part without rows adds 0.

        Raises:
            TypeError: A dtype is wrong.
            ValueError: A shape or a class index is wrong.
        """
        check_logits_pair(logits_student, logits_teacher)
        top1 = logits_teacher.argmax(dim=1)
        if self.uses_target:
            check_hard_target(target, type(self).__name__)
            check_target(target, logits_student)
        classes = target if self.background == 'label' else top1
        background = classes == logits_student.size(1) - 1
        split = target if self.split == 'target' else top1
        parts = [
            loss_on_rows(loss, rows, logits_student, logits_teacher, split,
                         weight, avg_factor)
            for loss, rows in ((self.foreground_loss, ~background),
                               (self.background_loss, background))
        ]
        return {
            stream: self.warmup_factor * (parts[0][stream] + parts[1][stream])
            for stream in self.streams
        }
