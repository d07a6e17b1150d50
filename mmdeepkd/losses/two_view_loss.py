"""What the losses on two augmented views of a batch share."""
from abc import abstractmethod
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmdeepkd.functional import standardize_logits
from mmdeepkd.functional.inputs import check_choice, check_sample_weight

from .base import AvgFactor, DistillationLoss, check_hard_target
from .deepkd_loss import DeepKDLoss
from .kd_loss import KDLoss

#: The logits of the weak and of the strong view, each (N, C).
Views = Tuple[Tensor, Tensor]
#: Student, teacher, and a factor: a number, a scalar or one per sample.
Pairing = Tuple[Tensor, Tensor, Any]


class TwoViewLoss(DistillationLoss):
    """A loss on a weak and a strong view of the same samples.

    Without ``base`` every pair of views is distilled by KD in the stream
    ``distill``. With one, the loss is DeepKD over it: each pair's divergence
    is split into ``target`` and ``non_target``, as :class:`DeepKDLoss` does.

    Attributes:
        topk: K of DeepKD's top-k mask, for hooks to set; there is none
            without ``base``.

    Args:
        temperatures: Positive temperatures; the divergences are summed.
        base: None, 'kd' or 'dkd'.
        alpha: Weight of TCKD, with ``base``.
        beta: Weight of NCKD, with ``base``.
        topk: How many non-target classes to keep, with ``base``; None: all.
        standardize: Whether to standardise the logits of the divergences.
        semantics: 'paper' or 'released'.
    """

    views = 2

    def __init__(self, temperatures: Sequence[float], base: Optional[str],
                 alpha: float, beta: float, topk: Optional[int],
                 standardize: bool, semantics: str) -> None:
        if not temperatures:
            raise ValueError('temperatures is empty: name at least one, such '
                             'as (4.0, ).')
        super().__init__(temperatures[0], standardize)
        # Each part below has its own; a second one here would do nothing.
        del self.temperature
        check_choice(semantics, 'semantics', ('paper', 'released'))
        if base is None and (alpha, beta, topk) != (1.0, 1.0, None):
            raise ValueError(
                f'alpha={alpha}, beta={beta} and topk={topk} weigh and mask '
                "the parts of DeepKD: set base='kd' or base='dkd' too, or "
                'leave them out.')
        self.base = base
        self.semantics = semantics
        self.uses_target = base is not None
        self.parts = nn.ModuleList(
            KDLoss(temperature) if base is None else DeepKDLoss(
                base, alpha, beta, temperature, topk, semantics=semantics)
            for temperature in temperatures)
        self.streams: Tuple[str, ...] = self.parts[0].streams

    @property
    def topk(self) -> Optional[int]:
        """K of DeepKD's top-k mask."""
        # Without base KDLoss has none: then this has none either.
        return self.parts[0].topk

    @topk.setter
    def topk(self, value: Optional[int]) -> None:
        if self.base is None:
            raise AttributeError(
                f'{type(self).__name__} without base has no topk: set '
                "base='kd' or base='dkd'.")
        for part in self.parts:
            part.topk = value

    @abstractmethod
    def per_sample(self, logits_student: Views, logits_teacher: Views,
                   target: Tensor,
                   weight: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """Return the weighted terms, each (N,), in the order of streams."""

    def forward(self,
                logits_student: Views,
                logits_teacher: Views,
                target: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None) -> Dict[str, Tensor]:
        """Return the distillation loss of every stream.

        Args:
            logits_student: The logits of the weak and of the strong view,
                floating, each of shape (N, C), C >= 2.
            logits_teacher: The same of the teacher.
            target: Class indices of shape (N,), int64. Without ``base`` it
                is not used and may hold soft scores of shape (N, C).
            weight: Sample weights of shape (N,), all 1 when None. A sample
                of weight 0 is in no statistic of the batch either; the
                others are in them once, whatever their weight.
            avg_factor: What to divide the weighted sum by; the mean over N
                is taken when None.

        Returns:
            ``{stream: scalar}``, weights and warm-up applied: the sum of the
            values is the whole distillation loss. An empty batch gives 0,
            attached to the graph of ``logits_student``.

        Raises:
            TypeError: A dtype is wrong.
            ValueError: The logits are not two views, a shape or a class index
                is wrong, or a loss with ``base`` gets soft scores.
        """
        name = type(self).__name__
        if self.uses_target:
            check_hard_target(target, name)
        _check_views(logits_student, 'logits_student', name)
        _check_views(logits_teacher, 'logits_teacher', name)
        inputs = [*logits_student, *(view.detach() for view in logits_teacher),
                  target, weight]
        index = None
        if weight is not None:
            check_sample_weight(weight, len(logits_student[0]))
            # Once: the host waits for the device wherever a mask is an index.
            index = (weight > 0).nonzero().squeeze(1)
            inputs = [value[index] for value in inputs]
        terms = self.per_sample((inputs[0], inputs[1]), (inputs[2], inputs[3]),
                                *inputs[4:])
        if index is not None:
            terms = tuple(
                term.new_zeros(len(weight)).index_copy(0, index, term)
                for term in terms)
        return self._reduced(terms, weight, avg_factor)

    def distil(self, pairings: Sequence[Pairing], target: Tensor,
               weight: Optional[Tensor]) -> List[Tensor]:
        """Return the terms, each (N,), summed over pairs and temperatures.

        Args:
            pairings: Student, teacher and the factor on their divergence.
            target: Class indices of shape (N,), int64.
            weight: Sample weights of shape (N,), all 1 when None.
        """
        found = []
        for student, teacher, factor in pairings:
            if self.standardize:
                student = standardize_logits(student)
                teacher = standardize_logits(teacher)
            for part in self.parts:
                terms = part.per_sample(student, teacher, target, weight)
                found.append([factor * term for term in terms])
        return [torch.stack(terms).sum(dim=0) for terms in zip(*found)]


def _check_views(views: Any, name: str, loss: str) -> None:
    if not isinstance(views, (tuple, list)) or len(views) != 2:
        raise ValueError(
            f'{loss} needs {name} of two views, a pair (weak, strong): use '
            'mmdeepkd.ClassifierDistiller with a pipeline that makes two '
            'views of every image.')
    if views[0].shape != views[1].shape:
        raise ValueError(
            f'{name} has the shapes {tuple(views[0].shape)} and '
            f'{tuple(views[1].shape)}: the two views must be of the same '
            'samples.')
