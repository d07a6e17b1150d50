"""What all feature losses share: their stream, their adapter, their terms."""
from abc import ABC, abstractmethod
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from torch import Tensor, nn

from .settings import PrintsSettings


class FeatureTerms(NamedTuple):
    """What a feature loss returns for one pair of features.

    Attributes:
        losses: Scalars, weights and warm-up applied, by what they are: '' is
            the matching of student and teacher, 'diffusion' and
            'autoencoder' train parts of the adapter.
        values: 0-d detached tensors that are only logged.
    """

    losses: Dict[str, Tensor]
    values: Dict[str, Tensor]


class FeatureLoss(PrintsSettings, ABC):
    """A loss on features of student and teacher, trained with an adapter.

    The loss holds the numbers and no parameter. What is trained beside the
    student is in the adapter, one per pair of features, which the distiller
    owns: so that the optimizer, DDP, EMA and checkpoints see it, and
    predictions do not.

    A subclass sets ``method`` and ``reads``, builds the adapter and returns
    the terms.

    Attributes:
        streams: The gradient stream of all its terms: one.
        method: The method's name in the log, ``feature.loss_<method>``.
        name: The method; the distiller numbers further losses of one method
            (``diffkd_1``), so that what is drawn by name differs.
        reads: What it compares: 'maps', (N, C, H, W), or 'logits', (N, C).
        levels: Which maps it compares: None, the distiller's default; else
            a list of indices of the student, or of pairs of a student's and
            a teacher's index. Of logits there is one place.
        needs_adapter: True: how a distiller tells it from a loss on logits.
        uses_target: False: no label is used.
        needs_background: False: no class is special.
        warmup_factor: Factor on the matching term, 1.0 until a hook sets it;
            what trains the adapter alone is not warmed up.
    """

    streams: Tuple[str, ...] = ('feature', )
    method: str
    reads: str
    levels: Optional[List[Any]] = None
    needs_adapter = True
    uses_target = False
    needs_background = False

    def __init__(self) -> None:
        super().__init__()
        self.warmup_factor = 1.0
        self.name = self.method

    @abstractmethod
    def build_adapter(self, student_channels: int,
                      teacher_channels: int) -> nn.Module:
        """Return the trainable modules for one pair of features.

        Args:
            student_channels: C of the student's feature.
            teacher_channels: C of the teacher's.
        """

    @abstractmethod
    def forward(self, adapter: nn.Module, feature_student: Tensor,
                feature_teacher: Tensor, place: str) -> FeatureTerms:
        """Return the terms of one pair of features.

        Args:
            adapter: Of :meth:`build_adapter`.
            feature_student: (N, C, H, W), or (N, C) for logits.
            feature_teacher: The same of the teacher; it gets no gradient.
            place: The name of the pair, for messages: 'map', 'level0', ...
        """
