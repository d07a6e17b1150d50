"""The losses of a distiller, their streams and their trainable modules."""
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor, nn

from .features import Pairs, adapter_name, build_adapters, feature_losses
from .levels import Place
from .stream_losses import (
    Losses,
    as_list,
    build_loss,
    name_losses,
    split_streams,
    weighted,
)
from .student_front import StudentFront


class LossKeeper(StudentFront):
    """A student with distillation losses.

    Losses compare logits or, with trainable modules (``needs_adapter``),
    features. These modules are the distiller's child ``distill``, which is
    there only where a loss needs it: ``distill.<method>.<place>``. So the
    optimizer, DDP, EMA and checkpoints see them; predictions do not.
    """

    def _keep_losses(self, losses: Any, task_weight: float) -> None:
        """Build the losses; the student has been adopted.

        Args:
            losses: One distillation loss config or a list.
            task_weight: Weight of the student's own losses.
        """
        self.task_weight = task_weight
        self.losses = nn.ModuleList(build_loss(c) for c in as_list(losses))
        self._loss_names = name_losses(self.losses)
        for name, loss in self.feature_losses:
            # Two of one method must not draw the same noise.
            loss.name = adapter_name(name)
        self._loss_places: Dict[str, List[Place]] = {}

    @property
    def loss_names(self) -> List[str]:
        """Names of ``losses`` in the log, without their streams."""
        return list(self._loss_names)

    @property
    def logit_losses(self) -> List[Tuple[str, nn.Module]]:
        """The losses without trainable modules, with their names."""
        return [pair for pair in zip(self._loss_names, self.losses)
                if not getattr(pair[1], 'needs_adapter', False)]

    @property
    def feature_losses(self) -> List[Tuple[str, nn.Module]]:
        """The losses with trainable modules, with their names."""
        return [pair for pair in zip(self._loss_names, self.losses)
                if getattr(pair[1], 'needs_adapter', False)]

    def parse_losses(
            self, losses: Losses) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Sum the losses, in total and by stream.

        A loss belongs to the stream before the first dot of its name if a
        distillation loss declares it, else to ``task``; names without 'loss'
        are only logged, as in MMEngine.

        Args:
            losses: What :meth:`loss` returned.

        Returns:
            The total, whose attribute ``streams`` is ``{stream: scalar}``
            and whose attribute ``parts`` is ``{stream: {name: scalar}}``,
            and the values to log.
        """
        stream_of = {name: self.stream_of(name) for name in losses}
        if self.task_weight != 1:
            losses = {
                name: weighted(value, self.task_weight)
                if stream_of[name] == 'task' and 'loss' in name else value
                for name, value in losses.items()
            }
        total, log_vars = super().parse_losses(losses)
        total.streams, total.parts = split_streams(log_vars, stream_of)
        return total, log_vars

    def stream_of(self, name: str) -> str:
        """Return the gradient stream that a loss belongs to.

        Args:
            name: Of a loss in what :meth:`loss` returns.
        """
        declared = {s for loss in self.losses for s in loss.streams}
        stream = name.split('.')[0]
        return stream if stream in declared else 'task'

    def _places(self, loss: nn.Module) -> List[Place]:
        """Return where a loss with trainable modules compares features."""
        raise TypeError(
            f'{type(self).__name__} does not say where '
            f'{type(loss).__name__} compares features: override _places, or '
            'use a loss on logits.')

    def _build_adapters(self) -> None:
        """Build the trainable modules of the losses.

        The last thing that a distiller's constructor does: an optimizer is
        built before the first batch.
        """
        if not self.feature_losses:
            return
        # The student must start, and draw, as without them.
        with torch.random.fork_rng(devices=[]):
            self._loss_places = {
                name: self._places(loss) for name, loss in self.feature_losses
            }
            self.distill = nn.ModuleDict({
                adapter_name(name): build_adapters(loss,
                                                   self._loss_places[name])
                for name, loss in self.feature_losses
            })

    def _compare_features(self, name: str, loss: nn.Module,
                          pairs: Pairs) -> Losses:
        """Return what a loss gives for features paired by place."""
        return feature_losses(name, loss, self.distill[adapter_name(name)],
                              pairs)
