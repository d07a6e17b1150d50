"""The static K and the phases that a sample of the teacher suggests."""
from typing import Any, Callable, List, Sequence, Tuple

import torch
from mmengine.dist import broadcast_object_list
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdeepkd.functional import dynamic_topk, standardize_logits
from mmdeepkd.functional.auto_topk import (
    covered_mass,
    covering_counts,
    proposed_phases,
    proposed_topk,
)

from .finite import from_all_ranks
from .gradients import world_size
from .loss_access import inner_loss
from .teacher_sample import sample_teacher
from .topk_choice import Choice
from .topk_settings import Wish


def choose_topk(runner: Runner, losses: Sequence[nn.Module], num_logits: int,
                wish: Wish) -> Choice:
    """Propose what is not given, from the teacher's logits alone.

    See :mod:`mmdeepkd.functional.auto_topk` for the definitions, and
    :func:`sample_teacher` for the sample. The teacher is seen as the first of
    the losses with ``topk`` sees it: softened by its temperature (the first,
    if it has several) and standardised if it does so; of a loss on the
    foreground, on the foreground. Every process gets the same.

    Args:
        runner: The runner, ready to train.
        losses: The distiller's.
        num_logits: C.
        wish: What is given.

    Raises:
        TypeError: The loss has no temperature.
        ValueError: There are no training data to take by index, or the
            losses get no logits on them.
        FloatingPointError: The teacher's logits are not finite.
        RuntimeError: Of several processes one fails otherwise; all raise the
            same.
    """
    loss = inner_loss(next(loss for loss in losses if hasattr(loss, 'topk')))
    mass = _Mass(*_softening(loss), wish.share)

    def look() -> Choice:
        images = sample_teacher(runner, loss, wish.sample_size, mass.take)
        if not mass.rows:
            raise ValueError(
                'DynamicTopKHook proposes what is auto from the logits that '
                f'{type(loss).__name__} gets, and on a sample of {images} '
                'training images it got none: raise sample_size, or set '
                'static_k and phases to numbers.')
        return mass.propose(num_logits, wish, images)

    # The augmentation of the sample differs between the processes.
    choice = [_on_all_ranks(look)]
    broadcast_object_list(choice)
    return choice[0]


def _on_all_ranks(look: Callable[[], Choice]) -> Choice:
    """Return a rank's own choice, or raise on all if one of them fails.

    The others would wait for a rank that has left. Those of a model that
    communicates in its forward still do, until the backend's timeout.
    """
    if world_size() == 1:
        return look()
    choice, failed, texts = None, None, []
    try:
        choice = look()
    # Whatever it is: it is raised, once the others know.
    except Exception as error:
        failed = error
        texts = [f'{type(error).__name__}: {str(error).rstrip(".")}']
    texts = from_all_ranks(texts)
    if choice is None or texts:
        # Of one type everywhere.
        numeric = any(text.startswith(FloatingPointError.__name__)
                      for text in texts)
        kind = FloatingPointError if numeric else RuntimeError
        raise kind('DynamicTopKHook could not look at the teacher: '
                   f'{"; ".join(texts)}.') from failed
    return choice


class _Mass:
    """Running sums over samples of what the best classes hold."""

    def __init__(self, temperature: float, standardize: bool,
                 share: float) -> None:
        self._temperature = temperature
        self._standardize = standardize
        self._share = share
        self._covered: Any = 0.0
        self._counts: List[Tensor] = []
        self.rows = 0

    def take(self, logits: Tensor, target: Tensor) -> None:
        """Add samples: logits (N, C), targets (N,)."""
        if not logits.isfinite().all():
            raise FloatingPointError(
                'the logits of the teacher hold inf or NaN on a sample of '
                'the training data: look at its checkpoint and its pixels, '
                'and under amp train it and the student in bfloat16.')
        if self._standardize:
            logits = standardize_logits(logits)
        covered = covered_mass(logits, target, self._temperature)
        self._covered = self._covered + covered.sum(dim=0)
        self._counts.append(covering_counts(covered, self._share))
        self.rows += len(logits)

    def propose(self, num_logits: int, wish: Wish, images: int) -> Choice:
        covered = (self._covered / self.rows).tolist()
        counts = torch.cat(self._counts).double()
        static_k, phases = wish.static_k, wish.phases
        why_static_k = why_phases = ''
        sample = (f'temperature {self._temperature:g}, mean over {self.rows} '
                  f'samples of {images} training images')
        if static_k is None:
            static_k = proposed_topk(counts.mean().item(), num_logits - 1)
            why_static_k = (
                f"auto: on average {counts.mean():.1f} of the teacher's best "
                f'hold {self._share:.4g} of its non-target mass at {sample}, '
                f'between {counts.min():g} and {counts.max():g}')
        if phases is None:
            first = dynamic_topk(0.0, num_logits, static_k,
                                 wish.initial_ratio)
            phases = proposed_phases(covered, first, static_k)
            why_phases = (
                f"auto: of the teacher's non-target mass the best {first} "
                f'hold {covered[first - 1]:.3f}, the best {static_k} '
                f'{covered[static_k - 1]:.3f}'
                + ('' if why_static_k else f' at {sample}'))
        return Choice(static_k, phases, why_static_k, why_phases)


def _softening(loss: Any) -> Tuple[float, bool]:
    """Return the temperature of a loss, and whether it standardises."""
    # A loss of several temperatures has a part for each.
    found = [part.temperature for part in (loss, *getattr(loss, 'parts', ()))
             if hasattr(part, 'temperature')]
    if not found:
        raise TypeError(
            f'{type(loss).__name__} has topk but no temperature, at which '
            'DynamicTopKHook would look at the teacher: set static_k and '
            'phases of the hook to numbers.')
    return float(found[0]), bool(getattr(loss, 'standardize', False))
